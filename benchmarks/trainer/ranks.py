"""Ranks that train one request after the other: `python -m benchmarks.trainer.ranks LIST_URI`.

Their Python, TensorFlow, Horovod and MLflow, whose start is not what is measured, serve all of them.
"""

import json
import sys
import warnings

from horovod import tensorflow as hvd

from components.storage import files
from components.train_classifier.request import TrainingRequest
from components.train_classifier.worker import Worker


def main(list_uri: str) -> None:
    """Train as one rank.

    Args:
        list_uri: JSON list of the requests' URIs.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    hvd.init()
    for request_uri in json.loads(files.read_text(list_uri)):
        Worker(TrainingRequest.read(request_uri), timeline=None).run()


if __name__ == "__main__":
    main(sys.argv[1])
