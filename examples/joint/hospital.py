"""The hospital: `python hospital.py 8700 transcript`. Holds records with labels, and answers with what the method says.

Each question is one of the protocol: take this trunk, show the features of a batch, give the gradient, hand over the
head. Messages hold numbers alone; nothing in them can run. A real service also needs encryption, names of its clients,
and a count of the questions: this one trusts the clinic to ask each once.

What it knows of its own batches goes into the folder of the transcript, for an audit of what the messages tell. In
life that file goes to the auditor, never to the clinic.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from agreed import STEPS, held, organisation
from safetensors import SafetensorError
from safetensors.torch import load, save

from dosimeter.training.joint.truth import write_truth

MOST = 64 * 2**20
"""Most bytes of a message."""


def answer(party, question, step, sent):
    """The message with which the hospital answers."""
    if question == "adopt":
        party.adopt(sent)
        return {}
    if question == "show":
        return party.show(step)
    if question == "gradient":
        return party.gradient(step, pull=sent)
    if question == "head" and step == STEPS:
        return party.head()
    raise KeyError(question)


def handler(party):
    """What answers over HTTP for a party."""

    class Handler(BaseHTTPRequestHandler):
        """Takes a message, gives one."""

        def do_POST(self):
            """Answers one question."""
            size = int(self.headers.get("Content-Length", 0))
            if not 0 < size <= MOST:
                self.send_error(413)
                return
            asked = urlsplit(self.path)
            try:
                step = int(dict(parse_qsl(asked.query))["step"])
                found = save(answer(party, asked.path.strip("/"), step, load(self.rfile.read(size))))
            except (SafetensorError, RuntimeError, ValueError, KeyError, IndexError):
                self.send_error(400)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_):
            """Keeps quiet."""

    return Handler


def tell(folder):
    """Writes how many heavy digits, and how many of each kind, are in each batch."""
    own, batches = held(0)
    classes = np.stack([np.bincount(rows, minlength=len(own.classes)) for rows in own.labels[batches]])
    write_truth(folder, (own.attributes["pen"][batches] == "heavy").sum(1), classes)


if __name__ == "__main__":
    tell(sys.argv[2])
    service = HTTPServer(("127.0.0.1", int(sys.argv[1])), handler(organisation(0)))
    print(f"listening on port {service.server_port}", flush=True)
    service.serve_forever()
