"""A rank that trains several requests in turn.

Its command is `python -m benchmarks.trainer.ranks LIST_URI`.
The start of Python, TensorFlow, Horovod and MLflow is not measured, so all requests share one start.
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
    """Train each request as one rank.

    Args:
        list_uri: URI of a JSON list with the URIs of the requests.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    hvd.init()
    settings = Settings.load()
    files = Files.of(settings)
    for request_uri in json.loads(files.read_text(list_uri)):
        Worker(TrainingRequest.read(request_uri, files), settings, timeline=None).run()


if __name__ == "__main__":
    main(sys.argv[1])
