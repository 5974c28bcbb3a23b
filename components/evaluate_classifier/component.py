"""The KFP component evaluate_classifier."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Metrics, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def evaluate_classifier(
    training_set: str,
    run_id: str,
    model_uri: str,
    model_digest: str,
    metrics: Output[Metrics],
    confusion_matrix: Output[ClassificationMetrics],
    report: Output[HTML],
    promote: str = "auto",
    minimum_accuracy: float = 0.0,
    minimum_gain: float = 0.0,
    gain_confidence: float = 0.8,
    minimum_class_recall: float = 0.0,
    minimum_class_images: int = 20,
    model_name: str = "",
    mlflow_tracking_uri: str = "",
) -> NamedTuple(
    "Outputs",
    [("promote", bool), ("reason", str), ("accuracy", float), ("champion_accuracy", float), ("compared_with", str)],
):
    """Compare a new model with the champion on the same test images, and decide whether it takes its place.

    The first champion needs the minimum accuracy, and the minimum recall of each class; a later one has to be better
    than the champion as well, by more than the minimum and more surely than chance would have it.

    Args:
        training_set: URI of the training set whose test images are taken.
        run_id: MLflow run that trained the model.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of its SavedModel.
        metrics: Accuracy of both models.
        confusion_matrix: Test images by true class and by the class that the new model predicts.
        report: Page with the thresholds, both models, the confusion matrix, the classes and the worst mistakes.
        promote: `auto`, or `manual` to leave promotion to a person.
        minimum_accuracy: Accuracy on the test images that a champion has at least, 0..1.
        minimum_gain: Accuracy that it has above the champion before it, -1..1; below 0, it may be a little worse.
        gain_confidence: How sure it has to be that its gain is above the minimum, 0.5 (as counted) up to, without, 1.
        minimum_class_recall: Part of a class' test images that it finds at least, 0..1, unless the champion before it
            found no more of them.
        minimum_class_images: Test images that a class has at least for its recall to count.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.

    Returns:
        promote: Whether the new model shall become the champion.
        reason: Why, or why not.
        accuracy: The new model's accuracy on the test images, 0..1.
        champion_accuracy: The champion's accuracy on the same images, 0..1; 0 if there is no champion.
        compared_with: Version of the champion; empty if there is none.
    """
    from components.evaluate_classifier.evaluate import Challenger, evaluate
    from components.evaluate_classifier.gate import Gate
    from components.evaluate_classifier.report import log_metrics, write_report
    from components.settings import Settings

    gate = Gate(
        promote=promote,
        minimum_accuracy=minimum_accuracy,
        minimum_gain=minimum_gain,
        gain_confidence=gain_confidence,
        minimum_class_recall=minimum_class_recall,
        minimum_class_images=minimum_class_images,
    )
    settings = Settings.load(model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri)
    result = evaluate(settings, training_set, Challenger(run_id, model_uri, model_digest), gate)
    log_metrics(result, metrics, confusion_matrix)
    write_report(result, report.path)
    decision = result.decision
    return decision.promote, decision.reason, result.challenger.accuracy, result.champion_accuracy, result.compared_with
