"""A rank without TensorFlow for tests of attempts. It writes a result at once."""

import sys

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.request import RESULT_FILE, EpochMetrics, TrainingResult

if __name__ == "__main__":
    epoch = EpochMetrics(
        epoch=1, loss=0.5, accuracy=0.8, val_loss=0.4, val_accuracy=0.9, images=2, val_images=2, seconds=1
    )
    result = TrainingResult(
        run_id="recorded",
        model_uri="models:/m-1",
        model_digest="0123",
        training_set_id="4567",
        ranks=1,
        history=[epoch],
        best_epoch=1,
        first_epoch=1,
        steps=1,
        features_computed=0,
        weights_digests=["89ab"],
        seconds=2,
    )
    Files().write_text(uri.join(sys.argv[1].rpartition("/")[0], RESULT_FILE), result.model_dump_json())
