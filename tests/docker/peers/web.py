"""Show on port 5000 what the linked container says, as an application does that knows it as http://helloapp:5000."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen


class Web(BaseHTTPRequestHandler):
    """Answer every request with what the linked container answers now."""

    def do_GET(self) -> None:
        """Ask the linked container, and pass on what it said."""
        with urlopen("http://helloapp:5000", timeout=10) as answer:
            said = answer.read().decode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'The linked container said... "{said}"'.encode())


ThreadingHTTPServer(("", 5000), Web).serve_forever()
