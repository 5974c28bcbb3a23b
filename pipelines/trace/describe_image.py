"""Describe the trace of an image: its state, the reasons, and its history."""

from components.lake.tables import FORGOTTEN, QUARANTINED, UNRECORDED
from components.report import Cell, Picture
from components.succession import ModelVersion, Succession
from pipelines.trace.document import Document, Table, show_time
from pipelines.trace.image import Arrival, ImageTrace, Prediction

_DIGITS = 12
_USES = {"train": "trained on it", "validation": "stopped early by it", "test": "tested on it"}


def describe_image(trace: ImageTrace) -> Document:
    """Return the trace of an image as a document.

    Args:
        trace: The trace.
    """
    current = trace.current
    prediction = "unknown" if current is not None and trace.succession is None else "none"
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
        summary=f"{_state(trace)} Effective label: {label or 'none'}. Current prediction: {prediction}.",
        figures={
            "State": trace.file.state if trace.file else "unknown",
            "Effective label": label or "none",
            "Current prediction": prediction,
            "Contents": str(len({each.content_sha256 for each in trace.arrivals if each.content_sha256})),
            "Training sets": str(len({each.training_set_id for each in trace.memberships})),
        },
        reasons=[_why_label(trace), _why_prediction(trace), *_why_split(trace), *_why_no_trainings(trace)],
        tables=_tables(trace),
        picture=newest[1] if newest else None,
        earlier=[picture for each, picture in pictures if newest is None or each is not newest[0]],
    )


def _state(trace: ImageTrace) -> str:
    """Return the state of the path in the lake and its reason, as one sentence."""
    file = trace.file
    if file is None:
        return "The table files no longer has this path."
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
        if given is None:
            given = _retired_class(trace, current.content_sha256)
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


def _retired_class(trace: ImageTrace, content_sha256: str) -> int | None:
    """Return the newest class that people gave a content, if all are retired."""
    labels = [
        each.label
        for each in trace.annotations
        if each.content_sha256 == content_sha256 and not each.is_undone and each.label is not None
    ]
    return labels[0] if labels and all(trace.merges.get(label, label) is None for label in labels) else None


def _why_prediction(trace: ImageTrace) -> str:
    current, succession = trace.current, trace.succession
    if current is None:
        return "Prediction: none, because the path has no current image."
    if succession is None:
        if trace.registry_error:
            return f"Prediction: unknown. {trace.registry_error}"
        return "Prediction: unknown, because no model registry is set (mlflow_tracking_uri) that names the champion."
    if not succession.versions:
        return f"Prediction: none, because the model '{succession.model_name}' has no champion."
    champion = succession.versions[0]
    scored = [each for each in trace.predictions if not each.is_test and each.content_sha256 == current.content_sha256]
    if current.version is None:
        reason = (
            f"neither the champion (version {champion.version}) nor a predecessor that counts has a prediction for this"
            " content"
        )
        if any(_is_withdrawn(trace, succession, each) for each in scored):
            reason += ". Predictions of withdrawn versions do not count"
        elif current.label is not None:
            reason += ". Labeled images are not scored"
        return f"Prediction: none, because {reason}."
    of_champion = [each for each in scored if _is_of(succession, each, champion)]
    if any(each.error is None for each in of_champion):
        if current.version == champion.version:
            return f"Prediction: version {current.version}, because it is the champion."
        return (
            f"Prediction: version {current.version}, because the champion (version {champion.version}) is the same"
            " model."
        )
    why = "could not decode the image" if of_champion else "has no prediction for it"
    return (
        f"Prediction: version {current.version}, because the champion (version {champion.version}) {why}, and this is"
        " its newest predecessor that has one."
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
        sentences.append(_why_no_training_set(trace))
    return sentences


def _why_no_training_set(trace: ImageTrace) -> str:
    if trace.current is None:
        return "No training set has this image, because the path has no current image."
    if trace.current.label is None:
        return "No training set has this image, because it has no label."
    return (
        "No training set has this image, although it has a label. Either no build has run since, or another path has"
        " the same content with another label, which leaves out both."
    )


def _why_no_trainings(trace: ImageTrace) -> list[str]:
    """Return why the trainings on the image's training sets are unknown, if they are."""
    return [f"Trainings: unknown. {trace.registry_error}"] if trace.registry_error and trace.memberships else []


def _tables(trace: ImageTrace) -> list[Table]:
    uses = _uses(trace)
    return [
        Table(
            "Arrivals, newest first",
            ("Ingested, UTC", "Content", "Format", "Bytes", "File written, UTC", "Outcome", "Batch"),
            [
                (
                    show_time(each.ingested_at),
                    _short(each.content_sha256),
                    each.format,
                    each.length,
                    show_time(each.modified),
                    _outcome(trace, each),
                    each.batch,
                )
                for each in trace.arrivals
            ],
        ),
        Table(
            "Hashes",
            ("Content", "SHA-256 of the content", "SHA-256 of the file"),
            list(
                dict.fromkeys(
                    (_short(each.content_sha256), each.content_sha256, each.source_sha256)
                    for each in trace.arrivals
                    if each.source_sha256 is not None
                )
            ),
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
                    _version_state(trace, each),
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
                    ", ".join(uses.get(each.training_set_id, ())) or None,
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


def _uses(trace: ImageTrace) -> dict[str, list[str]]:
    """Return how a training uses the contents of the path, by training set.

    Two contents can have two splits.
    """
    uses: dict[str, list[str]] = {}
    for each in trace.memberships:
        of_training_set, use = uses.setdefault(each.training_set_id, []), _USES[each.split]
        if use not in of_training_set:
            of_training_set.append(use)
    return uses


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


def _version_state(trace: ImageTrace, prediction: Prediction) -> str | None:
    succession = trace.succession
    if succession is None:
        return None
    for version in succession.versions:
        if _is_of(succession, prediction, version):
            return "champion" if version == succession.versions[0] else "predecessor"
    return "withdrawn" if _is_withdrawn(trace, succession, prediction) else None


def _is_withdrawn(trace: ImageTrace, succession: Succession, prediction: Prediction) -> bool:
    return any(_is_of(succession, prediction, version) for version in trace.withdrawn)


def _is_of(succession: Succession, prediction: Prediction, version: ModelVersion) -> bool:
    """Return whether a version made a prediction, as `current_predictions` decides.

    The digest decides, because a new registry numbers its versions from 1 again. Rows of release 0.1.0 have none.
    """
    if prediction.digest == UNRECORDED:
        return (prediction.model, prediction.version) == (succession.model_name, version.version)
    return bool(version.digest) and prediction.digest == version.digest


def _class(trace: ImageTrace, label: int | None, merged: bool = True) -> str | None:
    """Return the name of a class with its id, e.g. `cat (3)`; None without a class.

    Args:
        trace: The trace, which has the names.
        label: Class id.
        merged: Whether merges are already followed. Otherwise, the class that counts is named, too.
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
