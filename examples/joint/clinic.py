"""The clinic: `python clinic.py http://127.0.0.1:8700 transcript`. Has records without labels; it also keeps the trunk.

It asks the hospital for each message, trains, and writes all that crossed: `read_transcript` reads `transcript/`.
"""

import sys
import urllib.request

from agreed import AGREEMENT, HP, PARTIES, first_weights, organisation
from safetensors.torch import load, save

from dosimeter.training.joint.organisation import keeper_of
from dosimeter.training.joint.protocols import run_protocol
from dosimeter.training.joint.recording import TranscriptWriter
from dosimeter.training.joint.transcript import Wire


class Hospital:
    """The other organisation, as far as the clinic knows it: an address that answers with messages."""

    def __init__(self, address):
        self.name, self.address, self.step = PARTIES[0], address, 0

    def ask(self, question, step, sent):
        """The hospital's answer to one question."""
        place = f"{self.address}/{question}?step={step}"
        with urllib.request.urlopen(urllib.request.Request(place, save(sent)), timeout=60) as reply:
            return load(reply.read())

    def adopt(self, trunk):
        """Sends the trunk."""
        self.ask("adopt", 0, trunk)

    def show(self, step):
        """Gets features of the hospital's batch."""
        return self.ask("show", step, {})

    def gradient(self, step, *, task=True, pull=None):
        """Gets the gradient of the hospital's loss, once it knows how its features should move."""
        return self.ask("gradient", step, pull)

    def head(self):
        """Gets the trained head."""
        return self.ask("head", AGREEMENT.steps, {})

    def answer(self, step, shown, method, weight):
        """The hospital is the source, which answers nothing."""
        raise NotImplementedError("the receiver answers")

    update = parameters = approach = answer


def main(address, folder):
    """Trains together with the hospital, and writes what crossed."""
    clinic, wire = organisation(1), Wire()
    run_protocol(AGREEMENT, [Hospital(address), clinic], keeper_of(AGREEMENT, first_weights()[0], HP), wire)
    with TranscriptWriter(folder, AGREEMENT) as transcript:
        for one in wire.messages:
            transcript.add(one.kind, one.sender, one.receiver, one.step, one.arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
