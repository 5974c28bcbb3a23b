"""Describe the trace of a model version: origin, decisions and predictions."""

from datetime import date

from components.registry.tags import CODE_VERSION_TAG
from components.report import Cell, percent
from pipelines.trace.document import Days, Document, Table, show_time
from pipelines.trace.model import Decision, ModelTrace

# Tags of an MLflow run that name the code, and their meaning.
_CODE_TAGS = {
    CODE_VERSION_TAG: "release of the code",
    "preprocessing.version": "version of the preprocessing",
    "mlflow.source.git.commit": "commit",
    "mlflow.source.name": "program",
    "mlflow.user": "user",
    "weights.uri": "initial weights",
    "mlflow.parentRunId": "MLflow run of the task",
}


def describe_model(trace: ModelTrace) -> Document:
    """Return the trace of a model version as a document.

    Args:
        trace: The trace.
    """
    images = trace.undated + sum(day.images for day in trace.predictions)
    accuracy = trace.decision.accuracy
    return Document(
        title=f"{trace.model_name}, version {trace.version}",
        subtitle=f"The lake {trace.lake}",
        summary=f"{_role(trace)} It has {images:,} predictions in the lake. {_origin(trace)}",
        figures={
            "Role": trace.role or "none",
            "Accuracy on test images": "unknown" if accuracy is None else f"{accuracy:.2%}",
            "Promotions": str(len(trace.reigns)),
            "Predictions": f"{images:,}",
            "Test images": f"{trace.evaluations.images:,}",
        },
        reasons=[_why(trace), _data(trace), _evaluated(trace)],
        tables=[
            Table("Version", ("What", "Value"), _version_rows(trace)),
            Table("Training", ("What", "Value"), _training_rows(trace)),
            Table("Hyperparameters", ("Name", "Value"), sorted(trace.run.parameters.items()) if trace.run else ()),
            Table("Metrics of the training", ("Name", "Value"), sorted(trace.run.metrics.items()) if trace.run else ()),
            Table("Training set", ("What", "Value"), _training_set_rows(trace)),
            Table(
                "Comparisons with the champion",
                ("Challenger", "Champion", "Challenger's accuracy, %", "Decision", "By", "Reason", "Gate's reason"),
                [_decision_row(each) for each in (trace.decision, *trace.challengers) if each.decision],
            ),
            Table(
                "Times as the champion",
                ("Since, UTC", "Until, UTC", "Next champion", "Reason"),
                [
                    (show_time(each.since), show_time(each.until), each.successor or None, each.reason)
                    for each in trace.reigns
                ],
            ),
            Table(
                "Predictions by day",
                ("Day, UTC", "Images", "Not decoded", "Mean score, %"),
                _day_rows(trace),
            ),
            Table(
                "Tables that were read",
                ("Table", "Version"),
                [
                    (name, "missing" if version is None else str(version))
                    for name, version in trace.table_versions.items()
                ],
            ),
        ],
        days=Days("Predictions by day", "images", _counts(trace)) if trace.predictions else None,
    )


def _role(trace: ModelTrace) -> str:
    return {
        "champion": "This version is the champion.",
        "predecessor": "This version is a predecessor of the champion: its predictions count where the champion has"
        " none.",
        "withdrawn": "A rollback withdrew this version: its predictions do not count.",
        "challenger": "This version is the newest challenger.",
    }.get(trace.role, "This version is neither the champion nor a predecessor whose predictions count.")


def _origin(trace: ModelTrace) -> str:
    if not trace.training_set_uri:
        return "It names no training set, because register_model did not create it."
    name = trace.training_set_uri.rsplit("/", 1)[-1]
    return f"It was trained on the training set {name}."


def _why(trace: ModelTrace) -> str:
    decision = trace.decision
    if not decision.decision:
        return "Nobody has decided about this version yet."
    return f"Decision: {decision.decision} by {decision.decided_by or 'unknown'}, because {decision.reason}."


def _data(trace: ModelTrace) -> str:
    if trace.training_set is None:
        return f"Data: {trace.training_set_error or 'the version names no training set.'}"
    versions = ", ".join(f"{name} {number}" for name, number in sorted(trace.training_set.table_versions.items()))
    return f"Data: training set {trace.training_set.id}, of the table versions {versions}."


def _evaluated(trace: ModelTrace) -> str:
    kept = trace.evaluations
    if not kept.images:
        return "Evaluation: the lake keeps no predictions of test images by this version."
    return (
        f"Evaluation: {kept.images:,} test images, {kept.failed:,} of which could not be classified, from"
        f" {show_time(kept.first)} to {show_time(kept.last)} UTC."
    )


def _version_rows(trace: ModelTrace) -> list[tuple[Cell, ...]]:
    return [
        ("model", trace.model_name),
        ("version", trace.version),
        ("digest", trace.digest or "none"),
        ("registered, UTC", show_time(trace.registered_at)),
    ]


def _training_rows(trace: ModelTrace) -> list[tuple[Cell, ...]]:
    run = trace.run
    if run is None:
        return [("MLflow run", f"{trace.run_id}, which is gone" if trace.run_id else "none")]
    rows: list[tuple[Cell, ...]] = [
        ("MLflow run", run.run_id),
        ("name", run.name),
        ("experiment", run.experiment),
        ("status", run.status),
        ("started, UTC", show_time(run.started)),
        ("ended, UTC", show_time(run.ended)),
    ]
    rows += [(meaning, run.tags[tag]) for tag, meaning in _CODE_TAGS.items() if run.tags.get(tag)]
    if not run.tags.get(CODE_VERSION_TAG):
        rows.append((_CODE_TAGS[CODE_VERSION_TAG], "not recorded"))
    return rows


def _training_set_rows(trace: ModelTrace) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [("folder", trace.training_set_uri or "none")]
    made = trace.training_set
    if made is not None:
        rows.append(("classes", f"{len(made.classes):,}"))
        rows += [(f"{split} images", f"{count:,}") for split, count in made.counts.items()]
        rows.append(("segments", f"{len(made.segments):,}"))
        rows += [(f"left out: {reason}", f"{count:,}") for reason, count in sorted(made.left_out.items())]
        rows += [(f"version of {name}", str(number)) for name, number in sorted(made.table_versions.items())]
    return rows


def _day_rows(trace: ModelTrace) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [
        (each.day.isoformat(), each.images, each.failed, percent(each.mean_score))
        for each in reversed(trace.predictions)
    ]
    if trace.undated:
        rows.append(("unknown", trace.undated, None, None))
    return rows


def _decision_row(decision: Decision) -> tuple[Cell, ...]:
    return (
        decision.version,
        decision.compared_with or "none",
        None if decision.accuracy is None else round(100 * decision.accuracy, 2),
        decision.decision,
        decision.decided_by,
        decision.reason,
        decision.gate_reason or None,
    )


def _counts(trace: ModelTrace) -> dict[date, int]:
    return {each.day: each.images for each in trace.predictions}
