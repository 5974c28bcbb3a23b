"""A way to a server that can be cut, as it is when the server, or a load balancer before it, is restarted."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_AWAY_SECONDS = 2
_CHUNK = 65536


class DroppingProxy:
    """Passes bytes on.

    Attributes:
        port: Where it listens.
        accepted: How many connections there were so far.

    Args:
        target: Host and port of the server.
        host: Address of this machine that it listens on.
    """

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1") -> None:
        self._target = target
        self._host = host
        self._open: list[socket.socket] = []
        self.accepted = 0
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def drop_all(self, away_seconds: float = _AWAY_SECONDS) -> None:
        """End all connections, and refuse new ones for a while."""
        self.close()
        time.sleep(away_seconds)
        self._listener = self._listen(self.port)

    def close(self) -> None:
        """End all connections, and refuse new ones."""
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((self._host, port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                self.accepted += 1
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def dropping_proxy(folder: Path) -> Iterator[tuple[Path, DroppingProxy]]:
    """Start a proxy before the cluster of KUBECONFIG.

    Args:
        folder: Gets a configuration that goes through it.

    Yields:
        The configuration, and the proxy.
    """
    configuration = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    (cluster,) = (each["cluster"] for each in configuration["clusters"])
    server = urlsplit(cluster["server"])
    proxy = DroppingProxy((str(server.hostname), server.port or 443))
    # The server's certificate is of its own name.
    cluster |= {"server": f"https://127.0.0.1:{proxy.port}", "tls-server-name": server.hostname}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(configuration))
    try:
        yield path, proxy
    finally:
        proxy.close()
