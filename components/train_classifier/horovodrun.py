"""`horovodrun --gloo`, seconds faster: `python -m components.train_classifier.horovodrun -np 2 COMMAND` (trainer)."""

from horovod.runner import launch


def _gloo_built(verbose: bool = False) -> bool:
    """Say that Gloo is there. Horovod would import all of TensorFlow to find out, and each rank finds out anyway."""
    return True


if __name__ == "__main__":
    launch.gloo_built = _gloo_built
    launch.run_commandline()
