"""A server that is not Latchkey."""

import http.server
import threading
import time


class Stranger:
    """A server that is not Latchkey: one response for every request, after a delay in seconds."""

    def __init__(self, status: int, body: str = "", delay: float = 0, **headers: str) -> None:
        self.connections, self.requests = 0, 0
        stranger = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stranger.connections += 1

            def do_GET(self) -> None:
                stranger.requests += 1
                time.sleep(delay)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
