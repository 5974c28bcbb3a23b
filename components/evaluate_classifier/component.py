"""The KFP component evaluate_classifier."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Metrics, Output

from components import container_images
from components.parameters import TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm)
def evaluate_classifier(
    training_set: str,
    run_id: str,
    model_uri: str,
    model_digest: str,
    metrics: Output[Metrics],
    confusion_matrix: Output[ClassificationMetrics],
    report: Output[HTML],
    lake: str = "",
    promote: str = "auto",
    gate_options: dict = {},  # noqa: B006 - KFP copies this function's source, without any constant outside
    model_name: str = "",
) -> NamedTuple(
    "Outputs",
    [("promote", bool), ("reason", str), ("accuracy", float), ("champion_accuracy", float), ("compared_with", str)],
):
    """Compare a challenger with the champion on the same test images, and decide about its promotion.

    Each model classifies each test image once, ever. The lake's table `evaluations` keeps the predictions.

    A first model must be more accurate than always predicting the most frequent class. A later model must be more
    accurate than the champion, and no class may be significantly worse than under the champion. The significance tests
    are exact paired tests at a level of 5 % over all classes together. Every model must reach the minimum accuracy and
    the minimum recall of each class. `gate_options` changes these rules.

    Args:
        training_set: URI of the training set that contains the test images.
        run_id: MLflow run that trained the challenger.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of the model's SavedModel.
        metrics: Accuracy of both models, number of test images, and gain.
        confusion_matrix: Test images by true class and by the challenger's prediction.
        report: Page with the rules of the gate, both models, the confusion matrix, the classes and the worst mistakes.

    Returns:
        promote: Whether the gate promotes the challenger.
        reason: Reason for the decision.
        accuracy: The challenger's accuracy on the test images, 0..1.
        champion_accuracy: The champion's accuracy on the same images, 0..1; 0 if there is no champion.
        compared_with: Version of the champion; empty if there is no champion.
    """
    from components.evaluate_classifier.evaluate import Challenger, evaluate
    from components.evaluate_classifier.report import log_metrics, write_report
    from components.parameters import Gate, parse_inputs
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[bool, str, float, float, str]:
        gate = parse_inputs(Gate, promote=promote, gate_options=gate_options)
        settings = Settings.load(lake=lake, model_name=model_name)
        result = evaluate(settings, training_set, Challenger(run_id, model_uri, model_digest), gate)
        log_metrics(result, metrics, confusion_matrix)
        write_report(result, report.path)
        decision, accuracy = result.decision, result.challenger.accuracy
        return decision.promote, decision.reason, accuracy, result.champion_accuracy, result.compared_with

    return run_task(step)
