"""The page and the figures about a training."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from components.report import Report, new_figure
from components.train_classifier.request import EpochMetrics, TrainingRequest, TrainingResult


def write_report(request: TrainingRequest, result: TrainingResult, path: str) -> None:
    """Write the page: curves, epochs and hyperparameters."""
    best = result.best
    report = Report(
        "Training", f"{request.backbone.value} on training set {result.training_set_id}, MLflow run {result.run_id}"
    )
    report.figures(
        {
            "Validation accuracy": f"{best.val_accuracy:.1%}",
            "Best epoch": f"{best.epoch} of {len(result.history)}",
            "Training images": best.images,
            "Validation images": best.val_images,
            "Images/s": round(result.images_per_second),
            "Ranks": result.ranks,
        }
    )
    _add_curve(report, result.history, "Accuracy", "accuracy", "val_accuracy")
    _add_curve(report, result.history, "Loss", "loss", "val_loss")
    report.text(
        "The training's own figures are taken with dropout, while the weights change: validation's can be better."
    )
    columns = "Epoch", "Loss", "Accuracy", "Validation loss", "Validation accuracy", "Seconds"
    rows = [
        (each.epoch, each.loss, each.accuracy, each.val_loss, each.val_accuracy, each.seconds)
        for each in result.history
    ]
    report.table("Epochs", columns, rows)
    if result.first_epoch > 1:
        report.text(f"This training was interrupted: epoch {result.first_epoch} went on from the checkpoint before it.")
    if request.is_frozen:
        report.text(
            f"The frozen backbone was evaluated on {result.features_computed} images; the others' features were kept."
        )
    report.table(
        "Hyperparameters", ("Name", "Value"), [(name, str(value)) for name, value in request.hyperparameters.items()]
    )
    report.table("Model", ("", "Value"), [("URI", result.model_uri), ("SHA-256", result.model_digest)])
    report.write(Path(path))


def _add_curve(report: Report, history: list[EpochMetrics], caption: str, training: str, validation: str) -> None:
    figure, axes = new_figure()
    epochs = [each.epoch for each in history]
    for label, name in (("training", training), ("validation", validation)):
        axes.plot(epochs, [getattr(each, name) for each in history], marker="o", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel(caption.lower())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    report.chart(caption, figure, alt=f"{caption} by epoch, in training and in validation")
