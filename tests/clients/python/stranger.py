"""A server that is not Latchkey."""

import http.server
import threading
import time


class QuietServer(http.server.ThreadingHTTPServer):
    """Prints nothing of a client that has left: another test may read standard error then."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing."""


class Stranger:
    """Sends one response to every request, after a delay in seconds; none to the first `drops`."""

    def __init__(
        self, status: int, body: str = "", delay: float = 0, drops: int = 0, **headers: str
    ) -> None:
        self.connections, self.requests = 0, 0
        self.keys: list[str | None] = []
        """The Idempotency-Key of each request."""
        stranger = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stranger.connections += 1

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stranger.requests += 1
                stranger.keys.append(self.headers.get("Idempotency-Key"))
                if stranger.requests <= drops:
                    self.close_connection = True
                    return
                time.sleep(delay)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
