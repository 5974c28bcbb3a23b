"""Ranks that train one request after the other: `python -m benchmarks.trainer.ranks LIST_URI`.

Their Python, TensorFlow, Horovod and MLflow, whose start is not what is measured, serve all of them.
"""

import json
import sys
import warnings

from horovod import tensorflow as hvd

from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.rank.worker import Worker
from components.train_classifier.request import TrainingRequest


def main(list_uri: str) -> None:
    """Train as one rank.

    Args:
        list_uri: JSON list of the requests' URIs.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    hvd.init()
    settings = Settings.load()
    files = Files.of(settings)
    for request_uri in json.loads(files.read_text(list_uri)):
        Worker(TrainingRequest.read(request_uri, files), settings, timeline=None).run()


if __name__ == "__main__":
    main(sys.argv[1])
