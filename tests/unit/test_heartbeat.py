"""The heartbeat of the task that watches a training, and the end of ranks without it."""

import subprocess
import sys
from pathlib import Path

import pytest

# The main thread sleeps, like in a long step or a download.
RANK = """
import sys, time
from pathlib import Path
from components.storage.files import Files
from components.train_classifier.heartbeat import HEARTBEAT_FILE, HeartbeatWatch, renew_heartbeat

folder = Path(sys.argv[1])
"""
RENEWED = """
with renew_heartbeat(folder.as_uri(), 1, Files()):
    HeartbeatWatch(folder.as_uri(), 1, Files()); time.sleep(4); print('trained')
"""
STOPPED = """
with renew_heartbeat(folder.as_uri(), 1, Files()): pass
HeartbeatWatch(folder.as_uri(), 1, Files()); time.sleep(60); print('trained')
"""
NEVER_STARTED = "HeartbeatWatch(folder.as_uri(), 1, Files()); time.sleep(60); print('trained')"
UNREADABLE = (
    "(folder / HEARTBEAT_FILE).mkdir(); HeartbeatWatch(folder.as_uri(), 1, Files()); time.sleep(4); print('trained')"
)
BETWEEN_EPOCHS = "watch = HeartbeatWatch(folder.as_uri(), 4, Files())\nwhile True: time.sleep(0.1); watch.check()"

REASON = "the task that watches this training has sent no heartbeat for"


def run(script: str, folder: Path) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", RANK + script, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("script", [STOPPED, NEVER_STARTED], ids=["stopped", "never started"])
def test_rank_ends_when_the_heartbeat_is_missing(script: str, tmp_path: Path) -> None:
    code, output = run(script, tmp_path)

    assert code == 1
    assert REASON in output


def test_rank_between_two_epochs_raises_error_when_the_heartbeat_is_missing(tmp_path: Path) -> None:
    code, output = run(BETWEEN_EPOCHS, tmp_path)

    assert code == 1
    assert f"RuntimeError: {REASON} 4 s" in output


@pytest.mark.parametrize("script", [RENEWED, UNREADABLE], ids=["renewed", "store unavailable"])
def test_rank_continues_while_the_heartbeat_is_renewed_or_the_store_is_unavailable(script: str, tmp_path: Path) -> None:
    assert "trained" in run(script, tmp_path)[1].splitlines()
