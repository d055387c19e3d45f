"""The device's half: `python device.py halves http://127.0.0.1:8600 traffic`. Sends records, and keeps what crossed.

`traffic/` then holds for the victims and for the auxiliary records what crossed the cut and what was answered, in the
form that `dosimeter.audit(transcript=...)` and `[target] transcript` read.
"""

import json
import sys
import urllib.request
from pathlib import Path

import torch
from recipe import digits
from safetensors.torch import load, save, save_file

import dosimeter

HERE = Path(__file__).parent
ROWS = {"victims": range(800, 1100), "auxiliary": range(1100, 1797)}
BATCH = 64


def ask(address, sent):
    """The server's answers to what the device sends."""
    message = save({f"{index:03d}": one.contiguous() for index, one in enumerate(sent)})
    with urllib.request.urlopen(urllib.request.Request(address, message), timeout=60) as reply:
        return load(reply.read())["answers"]


def recorded(device, cut, address, records):
    """What crosses for some records, and what is answered."""
    features, answers = [], []
    for batch in torch.split(records, BATCH):
        sent = device.send(batch)
        answers.append(ask(address, sent))
        features.append(sent[0])
    return {cut: torch.cat(features), "answers": torch.cat(answers)}


def main(halves, address, folder):
    """Sends all records and writes the traffic."""
    device = dosimeter.load_device(halves, base=HERE)
    cut = json.loads((Path(halves) / "partition.json").read_text())["cut"]
    data, traffic = torch.from_numpy(digits(0).inputs), Path(folder)
    traffic.mkdir(parents=True, exist_ok=True)
    for part, rows in ROWS.items():
        save_file(recorded(device, cut, address, data[rows.start : rows.stop]), traffic / f"{part}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
