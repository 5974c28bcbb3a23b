"""An HTTP server of one file that supports Range, and drops, stalls or fails as a test requires."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 16 * 1024


@dataclass
class FileServer:
    """The file, the behavior of the server, and the requests so far.

    Attributes:
        content: Content of the file.
        tag: ETag of the file; empty to send none.
        takes_ranges: Whether the server supports Range.
        takes_if_range: Whether the server supports If-Range.
        drops: Bytes after which the connection ends, for each of the next requests.
        stalls_after: Bytes after which the server sends nothing more and keeps the connection open.
        statuses: Status codes to respond with instead of the file, for each of the next requests.
        url: URL of the file.
        ranges: Range header of each request; empty for none.
        served: Number of sent bytes, by request.
    """

    content: bytes
    tag: str = '"1"'
    takes_ranges: bool = True
    takes_if_range: bool = True
    drops: list[int] = field(default_factory=list)
    stalls_after: int | None = None
    statuses: list[int] = field(default_factory=list)
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serve a file on loopback."""
    state = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested = self.headers.get("Range", "")
            state.ranges.append(requested)
            state.served.append(0)
            if state.statuses:
                self.send_error(state.statuses.pop(0))
                return
            match = re.fullmatch(r"bytes=(\d+)-", requested) if state.takes_ranges else None
            if match and state.takes_if_range and self.headers.get("If-Range", state.tag) != state.tag:
                match = None
            start = int(match[1]) if match else 0
            self.send_response(206 if match else 200)
            if match:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            if state.tag:
                self.send_header("ETag", state.tag)
            self.send_header("Content-Length", str(len(state.content) - start))
            self.end_headers()
            rest = state.content[start:]
            self._send(rest[: state.drops.pop(0)] if state.drops else rest)

        def _send(self, content: bytes) -> None:
            request = len(state.served) - 1
            for at in range(0, len(content), _PIECE):
                if state.stalls_after is not None and at >= state.stalls_after:
                    state.stopped.wait()
                    return
                piece = content[at : at + _PIECE]
                self.wfile.write(piece)
                state.served[request] += len(piece)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/256_ObjectCategories.tar"
        try:
            yield state
        finally:
            state.stopped.set()
            server.shutdown()
            thread.join()
