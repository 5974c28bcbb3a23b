"""Real servers on free ports of this machine, which run for the duration of a `with` block."""

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
from azure.storage.blob import BlobServiceClient, ResourceTypes, generate_account_sas
from botocore.config import Config
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from tests.support.paths import REPOSITORY
from tests.support.tracking import find_or_make_tracking

_START_SECONDS = 180
_POLL_SECONDS = 0.1
_ACCOUNT = "devstoreaccount1"
_AZURITE = REPOSITORY / "tests" / "services" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_AZURITE_QUEUE = _AZURITE.parents[1] / "queue" / "main.js"
_ELASTICMQ = REPOSITORY / ".venv" / "elasticmq"
_GO_SERVERS = REPOSITORY / ".venv" / "go-servers"


@dataclass(frozen=True)
class Azurite:
    """A running Azure Blob emulator.

    Attributes:
        blob_url: URL of its account.
        connection_string: Connection string with all permissions.
    """

    blob_url: str
    connection_string: str

    def signed(self, permission: str) -> str:
        """Return a connection string with the given permissions on blobs only."""
        client = BlobServiceClient.from_connection_string(self.connection_string)
        signature = generate_account_sas(
            client.account_name or "",
            account_key=client.credential.account_key,
            resource_types=ResourceTypes(object=True),
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"BlobEndpoint={self.blob_url};SharedAccessSignature={signature}"


@dataclass(frozen=True)
class AzureQueues:
    """A running emulator of Azure's queues.

    Attributes:
        url: URL of its account.
        account_key: Key of the account.
    """

    url: str
    account_key: str


@dataclass(frozen=True)
class S3Server:
    """A running S3 server.

    Attributes:
        url: Endpoint.
        access_key: Access key of a user with all permissions.
        secret_key: Secret key of that user.
        reader_access_key: Access key of a user who can read and list.
        reader_secret_key: Secret key of that user.
        lister_access_key: Access key of a user who can list everything, and read only `landing/readable*` in the bucket
            `half-readable`.
        lister_secret_key: Secret key of that user.
    """

    url: str
    access_key: str
    secret_key: str
    reader_access_key: str
    reader_secret_key: str
    lister_access_key: str
    lister_secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that give access to the server."""
        return {
            "IMAGE_PIPELINES_S3_ENDPOINT": self.url,
            "IMAGE_PIPELINES_S3_ACCESS_KEY": self.access_key,
            "IMAGE_PIPELINES_S3_SECRET_KEY": self.secret_key,
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        # In its first seconds, the server responds but can't store anything yet.
        patient = Config(retries={"mode": "standard", "total_max_attempts": 10})
        client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=patient,
        )
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key="first", Body=b"")
        client.delete_object(Bucket=name, Key="first")


@dataclass(frozen=True)
class GcsServer:
    """A running server of Google Cloud Storage. It accepts any credentials, and none.

    Attributes:
        url: Endpoint.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that give access to the server."""
        return {"IMAGE_PIPELINES_GCS_ENDPOINT": self.url}

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = Client(project="tests", credentials=anonymous, client_options={"api_endpoint": self.url})
        client.create_bucket(name)


@dataclass(frozen=True)
class PubSubServer:
    """A running server of Google Pub/Sub.

    Attributes:
        address: Host and port of the service.
        control: Host and port of an HTTP server that counts the messages without an acknowledgment.
    """

    address: str
    control: str


@contextmanager
def running_mlflow(folder: Path, port: int = 0) -> Iterator[str]:
    """Run an MLflow server that proxies artifacts, and yield its URL.

    Args:
        folder: Folder of its database, artifacts and log.
        port: Port to listen on; 0 for any.
    """
    tracking = find_or_make_tracking(folder)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", tracking),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _running(command, folder / "server.log", r"Uvicorn running on (http://\S+)", environment) as url:
        yield url


@contextmanager
def running_azurite(folder: Path) -> Iterator[Azurite]:
    """Run Azurite's blob service.

    Args:
        folder: Folder of its blobs and its log.
    """
    server = KillableAzurite(folder)
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def running_azure_queues(folder: Path) -> Iterator[AzureQueues]:
    """Run Azurite's queue service.

    Args:
        folder: Folder of its messages and its log.
    """
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    command = [
        *("node", str(_AZURITE_QUEUE), "--queueHost", "127.0.0.1", "--queuePort", "0", "--location", str(folder)),
        *("--skipApiVersionCheck", "--disableTelemetry"),
    ]
    listening = r"successfully listens on (http://\S+)"
    with _running(command, folder / "server.log", listening, {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}) as url:
        yield AzureQueues(f"{url}/{_ACCOUNT}", key)


@contextmanager
def running_sqs(folder: Path) -> Iterator[str]:
    """Run ElasticMQ, a server of SQS, and yield its endpoint. It accepts any credentials.

    Args:
        folder: Folder of its log.
    """
    [port] = _free_ports("127.0.0.1", 1)
    configuration = folder / "elasticmq.conf"
    configuration.write_text(
        f"""
        include classpath("application.conf")
        rest-sqs {{ bind-hostname = "127.0.0.1", bind-port = {port} }}
        rest-stats {{ enabled = false }}
        """
    )
    command = [
        *("java", "-Xmx256m", "-XX:+UseSerialGC", f"-Dconfig.file={configuration}", "-cp", f"{_ELASTICMQ}/*"),
        "org.elasticmq.server.Main",
    ]
    with _running(command, folder / "server.log", r"=== ElasticMQ server \((\S+)\) started", {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running_gcs(folder: Path) -> Iterator[GcsServer]:
    """Run fake-gcs-server, a server of Google Cloud Storage that keeps objects in memory.

    Args:
        folder: Folder of its log.
    """
    [port] = _free_ports("127.0.0.1", 1)
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(_GO_SERVERS / "fake-gcs-server"), "-backend", "memory", "-scheme", "http", "-log-level", "info"),
        *("-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}", "-external-url", url),
    ]
    with _running(command, folder / "server.log", r"server started at (http://[^\s\"]+)", {}):
        yield GcsServer(url)


@contextmanager
def running_pubsub(folder: Path) -> Iterator[PubSubServer]:
    """Run pstest, Google's fake of Pub/Sub.

    Args:
        folder: Folder of its log.
    """
    with _running([str(_GO_SERVERS / "pubsub")], folder / "server.log", r"listening at (\S+ \S+)", {}) as addresses:
        yield PubSubServer(*addresses.split())


class KillableAzurite:
    """Azurite's blob service, which can be killed and restarted on the same port with its saved blobs.

    Attributes:
        folder: Folder of its blobs and its log.
        pid: Process id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = _AZURITE
        if not self._program.exists():
            raise FileNotFoundError(f"{self._program}: Azurite is not installed. Run make test, which installs it.")
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Azurite:
        """Start the server."""
        command = [
            *("node", str(self._program), "--blobHost", "127.0.0.1", "--blobPort", str(self._port)),
            # The client library may use a newer version of the API than the emulator supports.
            *("--location", str(self.folder), "--skipApiVersionCheck", "--disableTelemetry"),
        ]
        log = self.folder / "server.log"
        self._process = _start(command, log, {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{self._key}"})
        url = _wait_for_url(self._process, log, r"successfully listens on (http://\S+)")
        self._port = int(url.rpartition(":")[2])
        blob_url = f"{url}/{_ACCOUNT}"
        return Azurite(
            blob_url,
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={self._key};BlobEndpoint={blob_url};",
        )

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill the server."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the server if it runs."""
        if self._process is not None:
            _stop(self._process)


def saved_blobs(folder: Path) -> set[str]:
    """Return the names of the blobs that an Azurite in a folder still has after a kill.

    Azurite keeps its list of blobs in memory, and saves it every five seconds.
    """
    blobs = _saved(folder / "__azurite_db_blob__.json", "$BLOBS_COLLECTION$")
    extents = {extent["id"] for extent in _saved(folder / "__azurite_db_blob_extent__.json", "$EXTENTS_COLLECTION$")}
    return {blob["name"] for blob in blobs if blob["persistency"]["id"] in extents}


def _saved(database: Path, collection: str) -> list[dict[str, Any]]:
    if not database.exists():
        return []
    collections = json.loads(database.read_text())["collections"]
    return [row for each in collections if each["name"] == collection for row in each["data"]]


@contextmanager
def running_s3(folder: Path, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """Run SeaweedFS with its S3 service.

    Args:
        folder: Folder of its objects and its log.
        host: Address of this machine to listen on.
    """
    may = {
        "tests": ["Admin", "Read", "Write", "List", "Tagging"],
        "reader": ["Read", "List"],
        "lister": ["List", "Read:half-readable/landing/readable*"],
    }
    keys = {name: (secrets.token_hex(8), secrets.token_hex(16)) for name in may}
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": may[name]}
        for name, (key, secret) in keys.items()
    ]
    configuration = folder / "s3.json"
    configuration.write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    services = [f"{name}.port{kind}" for name in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    command = [
        *(str(Path(sys.executable).parent / "weed"), "server", f"-dir={folder / 'data'}", "-volume.max=0"),
        *(f"-ip={host}", f"-ip.bind={host}", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
        *("-s3", f"-s3.config={configuration}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{name}={port}" for name, port in zip(services, _free_ports(host, len(services)), strict=True)),
    ]
    with _running(command, folder / "server.log", r"Start Seaweed S3 API Server .* at http port (\d+)", {}) as port:
        yield S3Server(f"http://{host}:{port}", *keys["tests"], *keys["reader"], *keys["lister"])


def _free_ports(host: str, count: int) -> list[int]:
    """Return free ports, for a server that can't choose them."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running_postgresql(folder: Path, host: str) -> Iterator[str]:
    """Run PostgreSQL with an empty database, and yield the database's URI.

    Args:
        folder: Folder of its data and its log. As root, it gets another owner.
        host: Address of this machine to listen on.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed: run `requirements/system_packages.sh slow`.")
    password, data = secrets.token_hex(16), folder / "data"
    (folder / "password").write_text(password)
    # PostgreSQL refuses to run as root.
    as_user: tuple[str, ...] = ()
    if os.geteuid() == 0:
        as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
        for parent in folder.parents:
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    initialize = [
        *(str(programs / "initdb"), "--pgdata", str(data), "--username=mlflow", "--auth=scram-sha-256"),
        *("--pwfile", str(folder / "password")),
    ]
    subprocess.run([*as_user, *initialize], check=True, capture_output=True)
    # From pods, too.
    with (data / "pg_hba.conf").open("a") as clients:
        print("host all all 0.0.0.0/0 scram-sha-256", file=clients)
    (port,) = _free_ports(host, 1)
    command = [
        *(*as_user, str(programs / "postgres"), "-D", str(data), "-h", host, "-p", str(port), "-k", str(folder)),
        *("-c", "fsync=off"),
    ]
    with _running(command, folder / "server.log", r"(ready to accept connections)", {}):
        # The database that each installation has.
        yield f"postgresql://mlflow:{password}@{host}:{port}/postgres"


@contextmanager
def _running(command: Sequence[str], log: Path, listening: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server, and yield the URL or port that it logs by the pattern `listening`."""
    process = _start(command, log, environment)
    try:
        yield _wait_for_url(process, log, listening)
    finally:
        _stop(process)


def _start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            # In its own group: some servers are several processes.
            start_new_session=True,
        )


def _wait_for_url(process: "subprocess.Popen[bytes]", log: Path, listening: str) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if match := re.search(listening, log.read_text(errors="replace")):
            return match[1]
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        # Kill the server, because some take half a minute to end gracefully, and no test needs what they would save.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
