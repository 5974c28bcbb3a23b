"""The processes of ranks on this machine."""

from pathlib import Path


def rank_processes(lake: Path) -> dict[int, list[str]]:
    """Return the environment variables of the Python processes that train in a lake, by process id.

    Args:
        lake: Root folder of the lake.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text().split("\0")
            environment = (folder / "environ").read_text().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if command[0].endswith("python") and any(part.startswith(f"file://{lake}/training_runs") for part in command):
            found[int(folder.name)] = environment
    return found
