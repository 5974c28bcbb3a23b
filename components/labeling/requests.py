"""The values of `reason` and `outcome` in the table `labeling_requests`."""

from pyspark.sql import Column
from pyspark.sql import functions as F

# Values of the column `reason`: why people are asked to label an image.
UNCERTAIN = "uncertain"
AUDIT = "audit"

# Values of the column `outcome`: the result of a request. Null marks an open request.
LABELED = "labeled"
SKIPPED = "skipped"
CONFLICTING = "conflicting"


def is_request_of(model_name: str) -> Column:
    """Return the condition that a request is about a registered model's prediction.

    Release 0.1.0 did not record the model, so its requests match any model.
    """
    return F.coalesce(F.col("model_name") == model_name, F.lit(True))
