"""The heartbeat of the task that watches a training, and what becomes of a rank that misses it."""

import subprocess
import sys
from pathlib import Path

import pytest

# The main thread does nothing that the watch could interrupt, as in a long step or a download.
RANK = """
import sys, time
from pathlib import Path
from components.train_classifier.heartbeat import HEARTBEAT_FILE, HeartbeatWatch, renewed

folder = Path(sys.argv[1])
"""
RENEWED = "with renewed(folder.as_uri(), 1): HeartbeatWatch(folder.as_uri(), 1); time.sleep(4); print('trained')"
GONE = "with renewed(folder.as_uri(), 1): pass\nHeartbeatWatch(folder.as_uri(), 1); time.sleep(60); print('trained')"
NEVER_THERE = "HeartbeatWatch(folder.as_uri(), 1); time.sleep(60); print('trained')"
UNREADABLE = "(folder / HEARTBEAT_FILE).mkdir(); HeartbeatWatch(folder.as_uri(), 1); time.sleep(4); print('trained')"
BETWEEN_EPOCHS = "watch = HeartbeatWatch(folder.as_uri(), 4)\nwhile True: time.sleep(0.1); watch.check()"

SENTENCE = "the task that watches this training has given no sign of life for"


def run(script: str, folder: Path) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", RANK + script, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("script", [GONE, NEVER_THERE], ids=["stopped", "never there"])
def test_a_rank_ends_by_itself_when_the_heartbeat_is_missing(script: str, tmp_path: Path) -> None:
    code, said = run(script, tmp_path)

    assert code == 1
    assert SENTENCE in said


def test_a_rank_between_two_epochs_ends_as_after_any_error(tmp_path: Path) -> None:
    code, said = run(BETWEEN_EPOCHS, tmp_path)

    assert code == 1
    assert f"RuntimeError: {SENTENCE} 4 s" in said


@pytest.mark.parametrize("script", [RENEWED, UNREADABLE], ids=["renewed", "store away"])
def test_a_rank_goes_on_as_long_as_its_task_lives_or_the_store_is_away(script: str, tmp_path: Path) -> None:
    assert "trained" in run(script, tmp_path)[1].splitlines()
