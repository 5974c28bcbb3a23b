"""Take the pictures in docs/ again, from a new demo.

python -m tests.support.pictures FOLDER     makes the demo in FOLDER, which takes minutes
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import MONOKAI

from pipelines.demo import run_demo
from tests.support.paths import REPOSITORY, TRAINER_PYTHON

_REPORT = Path("reports", "labeling-evaluate-classifier.html")
_COLUMNS = 110
# Width and height of each picture, which shows the upper part of a page. GitHub shows the pictures side by side.
_SIZE = (900, 1000)
_PAGE = """<!doctype html>
<style>
body {{ margin: 0; padding: 24px; background: #0c0c0c; color: #d9d9d9; }}
pre {{ font: 14px/1.4 monospace; white-space: pre-wrap; }}
</style>
<pre>{code}</pre>
"""


def take_pictures(folder: Path) -> None:
    """Run the demo, and write docs/run.png and docs/report.png.

    Args:
        folder: The demo's folder, absolute.
    """
    console = Console(record=True, width=_COLUMNS, force_terminal=False)
    run_demo(folder, TRAINER_PYTHON, console)
    page = folder / "terminal.html"
    page.write_text(console.export_html(theme=MONOKAI, inline_styles=True, code_format=_PAGE))
    _take(page, REPOSITORY / "docs" / "run.png")
    _take(folder / _REPORT, REPOSITORY / "docs" / "report.png")


def _take(page: Path, picture: Path) -> None:
    with TemporaryDirectory() as profile:
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={_SIZE[0]},{_SIZE[1]}", f"--screenshot={picture}"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]).resolve())
