"""Names of the tags of model versions and of the MLflow runs that trained them."""

DECISION_TAG = "decision"
REASON_TAG = "reason"
DECIDED_BY_TAG = "decided_by"
GATE_REASON_TAG = "gate.reason"
DIGEST_TAG = "model.digest"
TRAINING_SET_URI_TAG = "training_set.uri"
TRAINING_SET_ID_TAG = "training_set.id"
RUN_TAG = "run_id"
ACCURACY_TAG = "accuracy"
COMPARED_WITH_TAG = "compared_with"
# Of the MLflow run: the release whose code trained the model.
CODE_VERSION_TAG = "code.version"
