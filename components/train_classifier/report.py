"""The report of a training."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.report import Report, add_legend, duration, new_figure, percent
from components.train_classifier.learning_rate import warning_of_few_steps
from components.train_classifier.request import TrainingRequest, TrainingResult


def write_report(request: TrainingRequest, result: TrainingResult, path: str) -> None:
    """Write the report: curves, epochs, hyperparameters and the model.

    Args:
        request: The training.
        result: Its result.
        path: Path of the HTML page.
    """
    best = result.best
    report = Report(
        "Training",
        f"Backbone {request.backbone.value}, training set {result.training_set_id}, MLflow run {result.run_id}",
        f"The model classifies {best.val_accuracy:.1%} of {best.val_images:,} validation images correctly, after epoch"
        f" {best.epoch} of {len(result.history)}.",
    )
    report.figures(
        {
            "Validation accuracy": f"{best.val_accuracy:.1%}",
            "Best epoch": f"{best.epoch} of {len(result.history)}",
            "Training images": best.images,
            "Validation images": best.val_images,
            "Images per second": f"{result.images_per_second:,.0f}",
            "Ranks": result.ranks,
            "Duration": duration(result.seconds),
        }
    )
    warning = warning_of_few_steps(result.steps, best.images, request.batch_size, request.epochs, request.ranks)
    if warning:
        report.warning(warning)
    if result.first_epoch > 1:
        report.text(
            f"The training was interrupted. It resumed at epoch {result.first_epoch} from the checkpoint of epoch"
            f" {result.first_epoch - 1}, and the duration counts from there."
        )
    _add_curve(report, result, "Accuracy", "accuracy", is_fraction=True)
    _add_curve(report, result, "Loss", "loss", is_fraction=False)
    report.text(
        "The loss is the mean cross entropy in nats. Training figures are measured with dropout, while the weights"
        " change. Validation figures are measured without dropout, after each epoch, and can therefore look"
        " better. Images per second are the training images of all ranks; the time includes validation."
    )
    columns = "Epoch", "Loss, nats", "Accuracy, %", "Validation loss, nats", "Validation accuracy, %", "Duration, s"
    rows = [
        (
            epoch.epoch,
            epoch.loss,
            percent(epoch.accuracy),
            epoch.val_loss,
            percent(epoch.val_accuracy),
            round(epoch.seconds, 1),
        )
        for epoch in result.history
    ]
    report.table("Epochs", columns, rows)
    if request.is_frozen:
        report.text(
            f"The frozen backbone computed the features of {result.features_computed:,} images. Features of the other"
            " images came from the cache."
        )
    report.table(
        "Hyperparameters", ("Name", "Value"), [(name, str(value)) for name, value in request.hyperparameters.items()]
    )
    report.table("Model", ("Name", "Value"), [("URI", result.model_uri), ("SHA-256", result.model_digest)])
    report.write(Path(path))


def _add_curve(report: Report, result: TrainingResult, caption: str, name: str, is_fraction: bool) -> None:
    epochs = [epoch.epoch for epoch in result.history]
    training = [getattr(epoch, name) for epoch in result.history]
    validation = [getattr(epoch, f"val_{name}") for epoch in result.history]
    best = result.best_epoch - 1
    with new_figure() as (figure, axes):
        for label, values in (("training", training), ("validation", validation)):
            axes.plot(epochs, values, marker="o", label=label)
        axes.axvline(result.best_epoch, color="#8a939c", linestyle="--", linewidth=1, label="best epoch")
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy" if is_fraction else "loss, nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if is_fraction:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        add_legend(axes)
    template = "{:.1%}" if is_fraction else "{:.3g} nats"
    changes = " and ".join(
        f"{label} from {template.format(values[0])} to {template.format(values[best])}"
        for label, values in (("training", training), ("validation", validation))
    )
    report.chart(caption, figure, alt=f"{caption} by epoch: {changes} in epoch {result.best_epoch}, the best one")
