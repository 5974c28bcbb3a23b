"""An S3 store as Kubeflow Pipelines brings one, on this machine, where the pods of a cluster reach it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.cluster.kubectl import get

ACCESS_KEY, SECRET_KEY = "minio", "minio123"
BUCKET = "mlpipeline"
_START_SECONDS = 120
_KUBELET_PORT = 10250


@dataclass(frozen=True)
class S3Store:
    """A running store.

    Attributes:
        host: Its address.
        port: Its port.
    """

    host: str
    port: int


def address_for_pods() -> str:
    """Return the address of this machine that the nodes of the cluster reach it by."""
    (node, *_) = get("nodes")["items"]
    (address,) = (each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
        # Sends nothing: it only asks for the way there.
        connected.connect((address, _KUBELET_PORT))
        return str(connected.getsockname()[0])


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Store]:
    """Run SeaweedFS.

    Args:
        folder: Where it keeps its objects and its log.
    """
    host = address_for_pods()
    # One user, who may do everything.
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identities = [{"name": "kubeflow-admin", "credentials": credentials, "actions": ["Admin"]}]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    s3, *others = free_ports(8)
    options = ("master.port", "volume.port", "filer.port", "s3.port.grpc")
    grpc = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc")
    command = [
        str(Path(sys.executable).parent / "weed"),
        *("server", f"-dir={folder}", "-ip=127.0.0.1", "-s3", f"-s3.port={s3}", f"-s3.ip.bind={host}"),
        *(f"-s3.config={config}", "-s3.autoCreateBucket", "-master.volumeSizeLimitMB=64", "-volume.max=0"),
        *(f"-{option}={port}" for option, port in zip((*options, *grpc), others, strict=True)),
    ]
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_for(process, f"http://{host}:{s3}/status", log)
        yield S3Store(host, s3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url):
                return
        except URLError:
            time.sleep(0.2)
    raise RuntimeError(f"the S3 store did not start:\n{log.read_text(errors='replace')}")
