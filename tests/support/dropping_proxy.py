"""A TCP proxy that can drop its connections, as a restarted server or load balancer does."""

import socket
import threading
import time
from contextlib import suppress

_AWAY_SECONDS = 2
_CHUNK = 65536


class DroppingProxy:
    """A proxy between clients and one server.

    Attributes:
        target: Host and port of the server. They must be set before the first connection.
        port: Port that the proxy listens on.
        accepted: Number of connections so far.

    Args:
        target: Host and port of the server.
        host: Address of this machine to listen on.
    """

    def __init__(self, target: tuple[str, int] = ("127.0.0.1", 0), host: str = "127.0.0.1") -> None:
        self.target = target
        self._host = host
        self._connections: list[socket.socket] = []
        self.accepted = 0
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def drop_all(self, away_seconds: float = _AWAY_SECONDS) -> None:
        """Drop all connections, and refuse new ones for some seconds."""
        self.close()
        time.sleep(away_seconds)
        self.open()

    def open(self) -> None:
        """Accept connections again."""
        self._listener = self._listen(self.port)

    def close(self) -> None:
        """Drop all connections, and refuse new ones."""
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._connections.clear()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((self._host, port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self.target)
                self._connections += [client, server]
                self.accepted += 1
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
