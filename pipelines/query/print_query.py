"""Run a query from the command line: find the champion and the lake, start Spark, print the result."""

import sys

from mlflow.exceptions import MlflowException
from rich.console import Console

from components.errors import InputError
from components.registry.champion import read_succession
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.succession import NO_CHAMPION, Succession
from pipelines.query.lake_query import query
from pipelines.query.output import Format, print_result
from pipelines.quiet_lake import quiet_lake

_VIEW = "image_data"


def print_query(statement: str, lake: str, form: Format, console: Console) -> None:
    """Run a statement and print its result, without Spark's log messages.

    Args:
        statement: A SQL statement.
        lake: Root URI of the lake. Empty: the settings' lake.
        form: Format of the result.
        console: Console for the result.

    Raises:
        InputError: No lake is set, the statement names `image_data` and the model registry can't be read, or `query`
            raises it.
    """
    settings = Settings.load(lake=lake)
    succession = _succession(settings) if _VIEW in statement.lower() else NO_CHAMPION
    with quiet_lake(settings) as opened:
        print_result(query(opened, statement, succession), form, console)


def _succession(settings: Settings) -> Succession:
    """Return the model versions whose predictions count, according to the model registry."""
    advice = f"'{_VIEW}' shows the champion's predictions. The tables images, labels and predictions need no registry."
    try:
        registry = ModelRegistry.open(settings)
        champion = registry.champion()
        if champion is None:
            print(
                f"model_name: '{registry.model_name}' has no champion, so '{_VIEW}' has no predictions.",
                file=sys.stderr,
            )
        return read_succession(registry, champion)
    except InputError as error:
        raise InputError(f"{error} {advice}") from error
    except MlflowException as error:
        raise InputError(
            f"mlflow_tracking_uri: '{settings.mlflow_tracking_uri}' can't be reached to find the champion. Try again"
            f" later. {advice}"
        ) from error
