"""`requirements/show_progress.sh`: progress lines of commands that take minutes."""

import itertools
import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "show_progress.sh"
FILTER = r"s/^Unpacking (\S+).*/unpacking \1/p"


def run(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a shell program with its progress going to a pipe, as in CI."""
    environment = {**os.environ, "PROGRESS_SECONDS": "1", "TMPDIR": str(folder)}
    return subprocess.run(
        [SCRIPT, "packages (apt)", FILTER, "bash", "-c", program], capture_output=True, text=True, env=environment
    )


def run_in_terminal(program: str) -> tuple[list[str], list[float]]:
    """Run a shell program with its progress going to a terminal; return what was drawn, and when."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(SCRIPT, [str(SCRIPT), "Horovod", FILTER, "bash", "-c", program], {**os.environ, "COLUMNS": "80"})
    drawn, times = b"", [time.monotonic()]
    while True:
        try:
            content = os.read(terminal, 4096)
        except OSError:
            # On Linux, reading a terminal fails with this error when no process has it open.
            break
        drawn += content
        times.append(time.monotonic())
    _, status = os.waitpid(pid, 0)
    assert status == 0
    return [line for line in re.split(r"\r\x1b\[K|\r\n", drawn.decode()) if line], times


def test_pipe_gets_a_line_for_each_change_and_no_carriage_return(tmp_path: Path) -> None:
    done = run(
        r"echo noise; echo -e '\e[32mUnpacking g++ x\e[0m'; sleep 1.3; echo Unpacking cmake x; sleep 1.3", tmp_path
    )

    assert done.returncode == 0
    lines = [re.sub(r"\d+ s", "N s", " ".join(line.split())) for line in done.stdout.splitlines()]
    assert lines[0] == "… setup packages (apt) N s"
    assert "… setup packages (apt) N s unpacking g++" in lines
    assert "… setup packages (apt) N s unpacking cmake" in lines
    assert lines[-1] == "✓ setup packages (apt) N s"
    assert "noise" not in done.stdout
    assert not re.search(r"[\r\x1b]", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_pipe_gets_the_time_while_nothing_changes(tmp_path: Path) -> None:
    done = run("echo Unpacking g++ x; sleep 4.5", tmp_path)

    seconds = [int(number) for number in re.findall(r"(\d+) s +unpacking g\+\+", done.stdout)]
    assert len(seconds) >= 1
    assert max(seconds) >= 3


def test_terminal_changes_each_second() -> None:
    drawn, times = run_in_terminal("echo Unpacking g++ x; sleep 3.5")

    assert max(after - before for before, after in itertools.pairwise(times)) < 2.5
    assert any("3 s    unpacking g++" in line for line in drawn)
    assert drawn[-1].startswith("  ✓ setup    Horovod")


def test_terminal_line_fits_the_window() -> None:
    drawn, _ = run_in_terminal(f"echo Unpacking {'x' * 300}; sleep 0.2")

    assert max(map(len, drawn)) < 80


@pytest.mark.parametrize("status", [1, 7])
def test_failure_shows_the_end_of_the_output_and_keeps_the_status(status: int, tmp_path: Path) -> None:
    done = run(f"seq 1000; echo 'no space left' >&2; exit {status}", tmp_path)

    assert done.returncode == status
    assert done.stdout.splitlines()[-1].startswith("  ✗ setup    packages (apt)")
    headline, *tail = done.stderr.splitlines()
    assert tail[-2:] == ["    1000", "    no space left"]
    assert len(tail) == 40
    (log,) = tmp_path.iterdir()
    assert headline == f"The last lines of the output, which is in {log}:"
    assert log.read_text().splitlines()[0] == "1"


def test_interruption_ends_the_command_and_removes_the_log(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    pid, terminal = pty.fork()
    if pid == 0:
        program = f"echo $$ >{tmp_path}/pid; exec sleep 60"
        os.execvpe(SCRIPT, [str(SCRIPT), "Horovod", FILTER, "bash", "-c", program], {**os.environ, "TMPDIR": str(logs)})
    until = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.05)
    command = int((tmp_path / "pid").read_text())

    os.write(terminal, b"\x03")

    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)
    assert list(logs.iterdir()) == []
