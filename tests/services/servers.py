"""Real servers on free ports of the loopback interface, each for as long as a `with` block."""

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 180
_STOP_SECONDS = 30
_POLL_SECONDS = 0.1
_ACCOUNT = "devstoreaccount1"


@dataclass(frozen=True)
class Azurite:
    """A running Azure Blob emulator.

    Attributes:
        blob_url: URL of its one account.
        connection_string: Access to it.
    """

    blob_url: str
    connection_string: str


@contextmanager
def running_mlflow(folder: Path) -> Iterator[str]:
    """Run an MLflow server that hands all artifacts through, and yield its URL.

    Args:
        folder: Where it keeps its database, its artifacts and its log.
    """
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", "0", "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _running(command, folder / "server.log", r"Uvicorn running on (http://\S+)", environment) as url:
        yield url


@contextmanager
def running_azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite's blob service.

    Args:
        folder: Where it keeps its blobs and its log.
    """
    program = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not program.exists():
        raise FileNotFoundError(f"{program}: Azurite is not installed. Run make test, which installs it.")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    command = [
        *("node", str(program), "--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(folder)),
        # The client library may speak a newer version of the API than the emulator knows.
        *("--skipApiVersionCheck", "--disableTelemetry"),
    ]
    environment = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}
    with _running(command, folder / "server.log", r"successfully listens on (http://\S+)", environment) as url:
        blob_url = f"{url}/{_ACCOUNT}"
        yield Azurite(
            blob_url,
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};BlobEndpoint={blob_url};",
        )


@contextmanager
def _running(command: Sequence[str], log: Path, listening: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server that was told port 0, and yield the URL that it logs by the pattern `listening`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            # A group of its own: some servers are several processes.
            start_new_session=True,
        )
    try:
        yield _wait_for_url(process, log, listening)
    finally:
        _stop(process)


def _wait_for_url(process: "subprocess.Popen[bytes]", log: Path, listening: str) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if match := re.search(listening, log.read_text(errors="replace")):
            return match[1]
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
