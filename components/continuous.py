"""Ingest or scoring as a stream that goes on until SIGTERM: `python -m components.continuous score`.

The Deployments of manifests/components/continuous run it. What differs from a pipeline's task is only that it stays.
"""

import argparse
import sys
from collections.abc import Sequence

from components.errors import InputError
from components.ingest_images.ingest import ingest
from components.score_images.score import score
from components.settings import Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a step as a stream."""
    parser = argparse.ArgumentParser(prog="python -m components.continuous", description="Run a step as a stream.")
    parser.add_argument("step", choices=("ingest", "score"), help="what to run: images without labels are ingested")
    parser.add_argument("--interval", default="1 minute", help="time between two looks, as in '1 minute'")
    parser.add_argument("--glob", default="*.jpg", help="which file names ingest counts, in either case")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        if given.step == "ingest":
            ingest(settings, source="", glob=given.glob, labelled=False, continuous_interval=given.interval)
        else:
            score(settings, continuous_interval=given.interval)
    except (InputError, TimeoutError) as error:
        # Kubernetes starts the pod again, later each time.
        sys.exit(str(error))


if __name__ == "__main__":
    main()
