"""The page and the figures about a training."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.report import Report, duration, new_figure, percent
from components.train_classifier.request import TrainingRequest, TrainingResult


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
            "Speed": f"{result.images_per_second:,.0f} images/s",
            "Ranks": result.ranks,
            "Duration": duration(result.seconds),
        }
    )
    _add_curve(report, result, "Accuracy", "accuracy", is_share=True)
    _add_curve(report, result, "Loss", "loss", is_share=False)
    report.text(
        "The loss is the mean cross entropy in nats. The training's own figures are taken with dropout, while the"
        " weights change: validation's can be better. Images/s count the training images of all ranks, over the time of"
        " the epochs with their validation."
    )
    columns = "Epoch", "Loss, nats", "Accuracy, %", "Validation loss, nats", "Validation accuracy, %", "Duration, s"
    rows = [
        (
            each.epoch,
            each.loss,
            percent(each.accuracy),
            each.val_loss,
            percent(each.val_accuracy),
            round(each.seconds, 1),
        )
        for each in result.history
    ]
    report.table("Epochs", columns, rows)
    if result.first_epoch > 1:
        report.text(f"This training was interrupted: epoch {result.first_epoch} went on from the checkpoint before it.")
    if request.is_frozen:
        report.text(
            f"The frozen backbone was evaluated on {result.features_computed:,} images; the others' features were kept."
        )
    report.table(
        "Hyperparameters", ("Name", "Value"), [(name, str(value)) for name, value in request.hyperparameters.items()]
    )
    report.table("Model", ("Name", "Value"), [("URI", result.model_uri), ("SHA-256", result.model_digest)])
    report.write(Path(path))


def _add_curve(report: Report, result: TrainingResult, caption: str, name: str, is_share: bool) -> None:
    epochs = [each.epoch for each in result.history]
    training = [getattr(each, name) for each in result.history]
    validation = [getattr(each, f"val_{name}") for each in result.history]
    best = result.best_epoch - 1
    with new_figure() as (figure, axes):
        for label, values in (("training", training), ("validation", validation)):
            axes.plot(epochs, values, marker="o", label=label)
        axes.axvline(result.best_epoch, color="#8a939c", linestyle="--", linewidth=1, label="best epoch")
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy" if is_share else "loss, nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if is_share:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend()
    shown = "{:.1%}" if is_share else "{:.3g} nats"
    said = " and ".join(
        f"in {label} from {shown.format(values[0])} to {shown.format(values[best])}"
        for label, values in (("training", training), ("validation", validation))
    )
    report.chart(caption, figure, alt=f"{caption} by epoch: {said} in epoch {result.best_epoch}, the best one")
