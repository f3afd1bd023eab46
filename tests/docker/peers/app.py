"""Greet whoever asks over HTTP on port 5000."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    """Answer every request with the greeting."""

    def do_GET(self) -> None:
        """Send the greeting."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello World!")


ThreadingHTTPServer(("", 5000), App).serve_forever()
