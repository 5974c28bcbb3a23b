"""Ingest or score continuously, until SIGTERM: `python -m pipelines.streams score`.

The Deployments in manifests/components/continuous run this module. It runs the same step as a pipeline's task.
"""

import argparse
import sys
from collections.abc import Sequence

from components.errors import InputError, TransientError
from components.ingest_images.ingest import ingest
from components.parameters import IngestOptions, parse
from components.score_images.score import score
from components.settings import Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a step continuously."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.streams", description="Run a step continuously, until SIGTERM."
    )
    parser.add_argument(
        "step", choices=("ingest", "score"), help="step to run: ingest unlabeled images, or score images"
    )
    parser.add_argument("--interval", default="1 minute", help="time between two polls (default: %(default)s)")
    parser.add_argument(
        "--glob", default="", help="file names to ingest, ignoring case (default: suffixes of image formats)"
    )
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        if options.step == "ingest":
            ingest_options = parse(IngestOptions, {"glob": options.glob})
            ingest(settings, options=ingest_options, labeled=False, continuous_interval=options.interval)
        else:
            score(settings, continuous_interval=options.interval)
    except (InputError, TransientError, TimeoutError) as error:
        # Kubernetes restarts the pod, with increasing delays.
        sys.exit(str(error))


if __name__ == "__main__":
    main()
