"""Copy the champions of the registry into the lake's table `promotions`.

The registry decides who is the champion, and its commands load no Spark. So the steps that have Spark append the rows
that are missing.
"""

from datetime import UTC, datetime

from pyspark.sql import Row
from pyspark.sql import functions as F

from components.lake import Lake
from components.lake.tables import PROMOTIONS
from components.registry.champion import ROLLED_BACK, is_champion_recorded, lock_name, record_champion
from components.registry.model_registry import ModelRegistry, RegisteredVersion
from components.registry.tags import DECISION_TAG, REASON_TAG
from components.spark.frames import frame


def record_promotion(lake: Lake, registry: ModelRegistry) -> None:
    """Append the champion to `promotions` if it is another one than the last row's. Idempotent.

    If someone moved the alias in MLflow itself, the registry's history is updated, too. The time of the row is now:
    MLflow does not store when an alias was moved.

    Args:
        lake: The lake.
        registry: The registry of the model.
    """
    if _is_recorded(lake, registry):
        return
    with lake.writer(lock_name(registry.model_name)):
        record_champion(registry)
        # Another step may have recorded the champion before the lock was free.
        if _is_recorded(lake, registry):
            return
        champion = registry.champion()
        if champion is not None:
            row = (
                champion.name,
                champion.digest,
                champion.version,
                datetime.now(UTC),
                _reason(lake, registry, champion),
            )
            lake.append(PROMOTIONS, frame(lake.spark, [row], PROMOTIONS.columns))


def _is_recorded(lake: Lake, registry: ModelRegistry) -> bool:
    champion = registry.champion()
    if champion is None:
        return True
    last = _last(lake, champion.name)
    in_table = last is not None and (last["model_digest"], last["model_version"]) == (champion.digest, champion.version)
    return in_table and is_champion_recorded(registry)


def _last(lake: Lake, model_name: str) -> Row | None:
    promotions = lake.read(PROMOTIONS).where(F.col("model_name") == model_name)
    return promotions.orderBy(F.desc("since")).first()


def _reason(lake: Lake, registry: ModelRegistry, champion: RegisteredVersion) -> str:
    """Return why the version is the champion: its predecessor was rolled back, or it was promoted."""
    last = _last(lake, champion.name)
    before = None if last is None else registry.find(last["model_version"])
    if before is not None and before.tags.get(DECISION_TAG) == ROLLED_BACK:
        return f"version {before.version} was rolled back: {before.tags.get(REASON_TAG, '')}"
    return champion.tags.get(REASON_TAG, "")
