"""The server's half behind HTTP: `python server.py halves 8600`. It gets features and gives answers, as safetensors.

Messages hold numbers alone; nothing in them can run. A real service also needs encryption, names of its clients and
limits, which this example has not.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save

import dosimeter

HERE = Path(__file__).parent
MOST = 64 * 2**20
"""Most bytes of a message."""


def handler(server):
    """What answers a message with the server's half."""

    class Handler(BaseHTTPRequestHandler):
        """Takes features, gives answers."""

        def do_POST(self):
            """Answers one message."""
            size = int(self.headers.get("Content-Length", 0))
            if not 0 < size <= MOST:
                self.send_error(413)
                return
            try:
                sent = load(self.rfile.read(size))
                found = save({"answers": server.answer(*(sent[name] for name in sorted(sent)))})
            except (SafetensorError, RuntimeError, TypeError, KeyError):
                self.send_error(400)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_):
            """Keeps quiet."""

    return Handler


if __name__ == "__main__":
    halves, port = sys.argv[1:]
    service = HTTPServer(("127.0.0.1", int(port)), handler(dosimeter.load_server(halves, base=HERE)))
    print(f"listening on port {service.server_port}", flush=True)
    service.serve_forever()
