"""Describe the trace of an image: what is current and why, and all that is known."""

from components.lake.tables import FORGOTTEN, QUARANTINED
from components.report import Cell, Picture
from pipelines.trace.document import Document, Table, show_time
from pipelines.trace.image import Arrival, ImageTrace

_DIGITS = 12
_USES = {"train": "trained on it", "validation": "stopped early by it", "test": "tested on it"}


def describe_image(trace: ImageTrace) -> Document:
    """Return the trace of an image as a document.

    Args:
        trace: The trace.
    """
    current = trace.current
    prediction = None
    if current is not None and current.version is not None:
        prediction = f"{_class(trace, current.predicted_label)}, {_percent(current.predicted_score)}"
    label = _class(trace, current.label) if current is not None else None
    pictures = [
        (each, Picture(each.picture, f"ingested {show_time(each.ingested_at)}", trace.path))
        for each in trace.arrivals
        if each.picture is not None
    ]
    newest = next(((each, picture) for each, picture in pictures if _is_current(trace, each)), None)
    return Document(
        title=trace.path.rsplit("/", 1)[-1],
        subtitle=f"{trace.path} in the lake {trace.lake}",
        summary=f"{_state(trace)} Effective label: {label or 'none'}. Current prediction: {prediction or 'none'}.",
        figures={
            "State": trace.file.state if trace.file else "unknown",
            "Effective label": label or "none",
            "Current prediction": prediction or "none",
            "Contents": str(len({each.content_sha256 for each in trace.arrivals if each.content_sha256})),
            "Training sets": str(len({each.training_set_id for each in trace.memberships})),
        },
        reasons=[_why_label(trace), _why_prediction(trace), *_why_split(trace)],
        tables=_tables(trace),
        picture=newest[1] if newest else None,
        earlier=[picture for each, picture in pictures if newest is None or each is not newest[0]],
    )


def _state(trace: ImageTrace) -> str:
    """Return what the lake has under the path now, and why, in one sentence."""
    file = trace.file
    if file is None:
        return "The table files does not have this path any longer."
    since = f" since {show_time(file.ingested_at)} UTC" if file.ingested_at else ""
    if file.state == QUARANTINED:
        return f"The file is in quarantine{since}: {file.reason}."
    if file.state == FORGOTTEN:
        return f"The image is forgotten{since}: its content was removed, and it is not ingested again."
    return f"Content {_short(file.content_sha256)} is current{since}, because the table files names it for this path."


def _why_label(trace: ImageTrace) -> str:
    current, file = trace.current, trace.file
    if current is None or file is None:
        return "Label: none, because the path has no current image."
    people = next((each for each in trace.labels if each.content_sha256 == current.content_sha256), None)
    given = people.label if people and current.label_source != "folder" else file.folder_label
    if current.label is None:
        if given is not None:
            return f"Label: none, because class {_class(trace, given, merged=False)} is retired."
        if any(each.content_sha256 == current.content_sha256 and not each.is_undone for each in trace.annotations):
            return "Label: none, because the annotations of this content are skips or conflict."
        return "Label: none, because neither the folder nor people gave this content a class."
    if current.label_source == "folder":
        why = "its folder names the class, and no label of people counts for this content"
    else:
        why = f"people labeled it in '{current.label_source}'"
        if file.folder_label is not None:
            why += ", which takes precedence over the folder's class"
    if given is not None and current.label != given:
        why += f". Class {_class(trace, given, merged=False)} was merged into {_class(trace, current.label)}"
    return f"Label: {_class(trace, current.label)}, because {why}."


def _why_prediction(trace: ImageTrace) -> str:
    current, succession = trace.current, trace.succession
    if current is None:
        return "Prediction: none, because the path has no current image."
    if succession is None:
        return "Prediction: unknown, because no model registry is set (mlflow_tracking_uri) that names the champion."
    if not succession.versions:
        return f"Prediction: none, because the model '{succession.model_name}' has no champion."
    champion = succession.versions[0].version
    if current.version is None:
        reason = (
            f"neither the champion (version {champion}) nor a predecessor that counts has a prediction for this content"
        )
        if any(each.version in trace.withdrawn for each in trace.predictions):
            reason += ". Predictions of withdrawn versions do not count"
        elif current.label is not None:
            reason += ". Labeled images are not scored"
        return f"Prediction: none, because {reason}."
    if current.version == champion:
        return f"Prediction: version {champion}, because it is the champion."
    failed = any(
        each.version == champion and each.error and each.content_sha256 == current.content_sha256
        for each in trace.predictions
    )
    why = "could not decode the image" if failed else "has no prediction for it"
    return (
        f"Prediction: version {current.version}, because the champion (version {champion}) {why}, and this is its"
        " newest predecessor that has one."
    )


def _why_split(trace: ImageTrace) -> list[str]:
    """Return the split of each content, and why a content is in no training set."""
    sentences = []
    for each in trace.splits:
        content, since = _short(each.content_sha256), show_time(each.made_at)
        if each.split is None:
            sentences.append(f"Content {content} is left out of training sets since {since} UTC: {each.reason}.")
        else:
            sentences.append(f"Content {content} belongs to the {each.split} split, permanently, since {since} UTC.")
    if not trace.splits and not trace.memberships:
        sentences.append("No build of a training set has found a content of this path with a label.")
    return sentences


def _tables(trace: ImageTrace) -> list[Table]:
    splits = {each.training_set_id: each.split for each in trace.memberships}
    return [
        Table(
            "Arrivals, newest first",
            ("Ingested, UTC", "Content", "Format", "Bytes", "File written, UTC", "Outcome", "Batch", "Source hash"),
            [
                (
                    show_time(each.ingested_at),
                    each.content_sha256,
                    each.format,
                    each.length,
                    show_time(each.modified),
                    _outcome(trace, each),
                    each.batch,
                    each.source_sha256,
                )
                for each in trace.arrivals
            ],
        ),
        Table(
            "Labels",
            ("From", "Class", "Time, UTC", "Content", "Counts"),
            _label_rows(trace),
        ),
        Table(
            "Annotations, newest first",
            ("Time, UTC", "Person", "Service", "Class", "Batch", "Content", "State"),
            [
                (
                    show_time(each.annotated_at),
                    each.annotator,
                    each.service,
                    "skipped" if each.label is None else _class(trace, each.label, merged=False),
                    each.batch,
                    _short(each.content_sha256),
                    "taken back" if each.is_undone else _content_state(trace, each.content_sha256),
                )
                for each in trace.annotations
            ],
        ),
        Table(
            "Merged and retired classes",
            ("Class", "Counts as"),
            [
                (_class(trace, label, merged=False), "no class: retired" if end is None else _class(trace, end))
                for label, end in sorted(trace.merges.items())
            ],
        ),
        Table(
            "Predictions, newest first",
            ("Time, UTC", "Model", "Version", "Class", "Score, %", "Content", "Of", "State"),
            [
                (
                    show_time(each.predicted_at),
                    each.model,
                    each.version,
                    each.error or _class(trace, each.label, merged=False),
                    None if each.score is None else round(100 * each.score, 1),
                    _short(each.content_sha256),
                    "test image" if each.is_test else "score_images",
                    _version_state(trace, each.version),
                )
                for each in trace.predictions
            ],
        ),
        Table(
            "Labeling requests and exported copies, newest first",
            ("Requested, UTC", "Batch", "Reason", "Version", "Predicted class", "Outcome", "Completed, UTC", "Copy"),
            [
                (
                    show_time(each.requested_at),
                    each.batch,
                    each.reason,
                    each.version,
                    _class(trace, each.label, merged=False),
                    each.outcome or "open",
                    show_time(each.completed_at),
                    each.copy,
                )
                for each in trace.requests
            ],
        ),
        Table(
            "Training sets, newest first",
            ("Built, UTC", "Training set", "Split", "Class", "Label from", "Content", "Member"),
            [
                (
                    show_time(each.built_at),
                    each.training_set_id,
                    each.split,
                    _class(trace, each.label, merged=False),
                    each.label_source,
                    _short(each.content_sha256),
                    "this path" if each.path == trace.path else each.path,
                )
                for each in trace.memberships
            ],
        ),
        Table(
            "Trainings and model versions, newest first",
            ("Started, UTC", "Training set", "Use", "MLflow run", "Experiment", "Status", "Version", "Role"),
            [
                (
                    show_time(each.started),
                    each.training_set_id,
                    _USES.get(splits.get(each.training_set_id, "")),
                    each.run_id,
                    each.experiment,
                    each.status or "gone",
                    each.version or "not registered",
                    each.role,
                )
                for each in trace.models
            ],
        ),
        Table(
            "Tables that were read",
            ("Table", "Version"),
            [(name, "missing" if version is None else str(version)) for name, version in trace.table_versions.items()],
        ),
    ]


def _label_rows(trace: ImageTrace) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    file, current = trace.file, trace.current
    source = current.label_source if current else None
    if file is not None and file.folder_label is not None:
        class_ = _class(trace, file.folder_label, merged=False)
        rows.append(("folder", class_, show_time(file.ingested_at), _short(file.content_sha256), source == "folder"))
    for each in trace.labels:
        counts = current is not None and each.content_sha256 == current.content_sha256 and source == each.service
        class_ = _class(trace, each.label, merged=False)
        rows.append(
            (f"people, {each.service}", class_, show_time(each.labeled_at), _short(each.content_sha256), counts)
        )
    return rows


def _outcome(trace: ImageTrace, arrival: Arrival) -> str:
    if arrival.content_sha256 is None:
        return f"refused: {arrival.reason}"
    return "current" if _is_current(trace, arrival) else "earlier"


def _is_current(trace: ImageTrace, arrival: Arrival) -> bool:
    file = trace.file
    return (
        file is not None
        and arrival.content_sha256 is not None
        and (arrival.content_sha256, arrival.ingested_at) == (file.content_sha256, file.ingested_at)
    )


def _content_state(trace: ImageTrace, content_sha256: str) -> str:
    is_current = trace.current is not None and trace.current.content_sha256 == content_sha256
    return "current content" if is_current else "earlier content"


def _version_state(trace: ImageTrace, version: str | None) -> str | None:
    numbers = [each.version for each in trace.succession.versions] if trace.succession else []
    if numbers[:1] == [version]:
        return "champion"
    if version in trace.withdrawn:
        return "withdrawn"
    return "predecessor" if version in numbers else None


def _class(trace: ImageTrace, label: int | None, merged: bool = True) -> str | None:
    """Return the name of a class with its id, e.g. `cat (3)`; None without a class.

    Args:
        trace: The trace, which has the names.
        label: Class id.
        merged: Whether the class is one that counts. Otherwise the class that counts is named, too.
    """
    if label is None:
        return None
    name = trace.class_names.get(label)
    text = f"{name} ({label})" if name else str(label)
    end = trace.merges.get(label)
    return text if merged or end is None else f"{text}, now {_class(trace, end)}"


def _short(content_sha256: str | None) -> str | None:
    return content_sha256[:_DIGITS] if content_sha256 else None


def _percent(fraction: float | None) -> str:
    return "no score" if fraction is None else f"{fraction:.1%}"
