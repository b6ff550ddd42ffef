"""An application behind a proxy that reports what it received: headers, bodies, connections."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.program import PATIENCE


class Application(ThreadingHTTPServer):
    """It listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = int(self.server_address[1])
        self.requests: list[str] = []
        self.connections = 0
        self.first_chunk = threading.Event()
        self.go_on = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Application"]:
        thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Reports a request. For /events: sends an event, and another when told to go on."""

    protocol_version = "HTTP/1.1"
    server: Application

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *words: object) -> None:
        """Stay silent."""

    def answer(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        size, digest = 0, hashlib.sha256()
        for chunk in self.chunks():
            size += len(chunk)
            digest.update(chunk)
            self.server.first_chunk.set()
        self.send_response(200)
        if self.path.endswith("/events"):
            self.events()
            return
        report = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "size": size,
            "sha256": digest.hexdigest(),
        }
        body = json.dumps(report).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def chunks(self) -> Iterator[bytes]:
        """Read the body as it comes."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while length := int(self.rfile.readline(), 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left and (some := self.rfile.read1(min(left, 65536))):
            left -= len(some)
            yield some

    def events(self) -> None:
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"b\r\ndata: one\n\n\r\n")
        self.server.go_on.wait(PATIENCE)
        self.wfile.write(b"b\r\ndata: two\n\n\r\n0\r\n\r\n")
