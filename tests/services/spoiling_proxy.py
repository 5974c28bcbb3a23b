"""A proxy that corrupts requests in transit."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection, socket
from urllib.parse import urlsplit


@contextmanager
def spoiling_proxy(url: str, sent: bytes, arrives: bytes) -> Iterator[str]:
    """Start a proxy that replaces bytes in requests to a server, and yield its URL.

    Args:
        url: URL of the server.
        sent: Bytes to replace.
        arrives: Bytes that replace them, of the same length.
    """
    parts = urlsplit(url)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with create_connection((parts.hostname, parts.port)) as server:
                responses = threading.Thread(target=_pass_on, args=(server, self.request))
                responses.start()
                _pass_on(self.request, server, sent, arrives)
                responses.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.daemon_threads = True
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"{parts.scheme}://127.0.0.1:{proxy.server_address[1]}{parts.path}"
        finally:
            proxy.shutdown()
            thread.join()


def _pass_on(origin: socket, target: socket, sent: bytes = b"", arrives: bytes = b"") -> None:
    while received := origin.recv(2**16):
        target.sendall(received.replace(sent, arrives) if sent else received)
    target.shutdown(1)
