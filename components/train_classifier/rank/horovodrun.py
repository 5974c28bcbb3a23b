"""Run `horovodrun --gloo` without its check for Gloo, which takes seconds.

Usage: `python -m components.train_classifier.rank.horovodrun -np 2 COMMAND`.
"""

from horovod.runner import launch


def _gloo_built(verbose: bool = False) -> bool:
    """Return True.

    Horovod's own function imports TensorFlow to check for Gloo. Each rank does the same check anyway.
    """
    return True


if __name__ == "__main__":
    launch.gloo_built = _gloo_built
    launch.run_commandline()
