"""8 small convolutional nets on CIFAR-10: a run of dosimeter beside an eager loop as peers write it.

`convnet` 32-64-128-128, 3,000 records, 18 epochs of batches of 64, SGD with a one-cycle rate, tested on 4,000 records.
Ours: channels last, bfloat16 autocast where the CPU has AVX-512 BF16 or AMX, one thread per process, one process per
core; one wave (a net per process) is timed from a cold start and scaled to 8 nets. The loop: float32, NCHW, a
`DataLoader` with two workers, timed on whole nets with one thread and with all, the faster one scaled to 8 nets.

The bar is stated for a CPU with AVX-512 BF16.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from machine import case, cores, flags
from safetensors.torch import load_file, save_file

from dosimeter.data import load
from dosimeter.jobs.runners import ProcessRunner
from dosimeter.models.architectures import as_float, convnet
from dosimeter.training.loop import seed_torch, train
from dosimeter.training.recipe import Hyperparameters

NETS, TRAINED_ON, TESTED_ON = 8, 3000, 4000
RECIPE = Hyperparameters(epochs=18, batch_size=64, lr=0.1, momentum=0.9, weight_decay=5e-4, schedule="one-cycle")


def fresh(seed):
    """A net with its own initialisation."""
    with seed_torch(seed):
        return convnet((3, 32, 32), 10)


@dataclass(frozen=True)
class Net:
    """The training of one net, a job."""

    folder: Path
    seed: int
    recipe: Hyperparameters

    def perform(self):
        """Read the records, train, write the weights, as a run's job does."""
        data, net = load_file(self.folder / "data.safetensors"), fresh(self.seed)
        train(net, data["inputs"], data["labels"], self.recipe, seed=self.seed, device=torch.device("cpu"))
        state = {name: value.contiguous() for name, value in net.state_dict().items()}
        save_file(state, self.folder / f"{self.seed}.safetensors")


def copy_of_cifar10():
    """The developer's copy of CIFAR-10, or None."""
    root = Path(__file__).resolve().parents[1]
    given = os.environ.get("DOSIMETER_CIFAR10")
    place = Path(given) if given else root / ".." / "shared" / "data" / "cifar10_jpeg.npz"
    return place if place.exists() else None


def records(place):
    """Images and labels of the training and the test records."""
    parts = [load(f"cifar10:{place}", rows=rows) for rows in (f"0:{TRAINED_ON}", f"50000:{50000 + TESTED_ON}")]
    return [torch.from_numpy(np.array(values)) for part in parts for values in (part.inputs, part.labels)]


def accuracy(net, inputs, labels):
    """Test accuracy in float32."""
    with torch.inference_mode():
        right = [
            net.eval()(as_float(x)).argmax(1) == y for x, y in zip(inputs.split(500), labels.split(500), strict=True)
        ]
    return torch.cat(right).double().mean().item()


def ours(inputs, labels, recipe):
    """One net per core: the nets and seconds from a cold start."""
    runner = ProcessRunner(cores())
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        save_file({"inputs": inputs, "labels": labels}, folder / "data.safetensors")
        jobs = [Net(folder, seed, recipe) for seed in range(cores())]
        runner.run(Net.perform, jobs, lambda _: None)
        seconds, nets = time.perf_counter() - start, []
        runner.close()
        for job in jobs:
            nets.append(fresh(job.seed))
            nets[-1].load_state_dict(load_file(folder / f"{job.seed}.safetensors"))
    return nets, seconds


def eager(inputs, labels, seed, threads):
    """The loop: one net and its seconds."""
    torch.set_num_threads(threads)
    net = fresh(seed).train()
    data = torch.utils.data.TensorDataset(as_float(inputs), labels)
    batches = torch.utils.data.DataLoader(data, RECIPE.batch_size, shuffle=True, num_workers=2)
    steps = RECIPE.epochs * len(batches)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=1.0, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )  # the schedule gives the rate
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: RECIPE.lr_at(step, steps))
    criterion, start = torch.nn.CrossEntropyLoss(), time.perf_counter()
    for _ in range(RECIPE.epochs):
        for x, y in batches:
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            schedule.step()
    return net, time.perf_counter() - start


def cases():
    """The case, or why it was skipped."""
    place = copy_of_cifar10()
    if place is None:
        return {"convnets": {"skipped": "no copy of CIFAR-10: set DOSIMETER_CIFAR10", "ok": None}}
    fast = bool({"avx512_bf16", "amx_bf16"} & set(flags()))
    recipe = replace(RECIPE, precision="bfloat16" if fast else "float32")
    inputs, labels, test, test_labels = records(place)
    nets, wave = ours(inputs, labels, recipe)
    before, loops = torch.get_num_threads(), []
    for seed, threads in enumerate(sorted({1, cores()})):
        loops.append((threads, *eager(inputs, labels, seed, threads)))
    torch.set_num_threads(before)
    own = [accuracy(net, test, test_labels) for net in nets]
    peer = [accuracy(net, test, test_labels) for _, net, _ in loops]
    seconds = wave * math.ceil(NETS / cores())
    figures = {
        "seconds": seconds,
        "scaled_from": f"{len(nets)} of {NETS} nets, all epochs, the start of the processes in each wave",
        "n": NETS,
        "records": TRAINED_ON,
        "epochs": RECIPE.epochs,
        "batch_size": RECIPE.batch_size,
        "precision": recipe.precision,
        "processes": cores(),
        "peer_seconds": NETS * min(time for *_, time in loops),
        "peer_seconds_of_a_net": {f"{threads} threads": time for threads, _, time in loops},
        "peer_scaled_from": f"1 of {NETS} nets per number of threads, all epochs; the faster one counts",
        "accuracy": own,
        "peer_accuracy": peer,
        "accuracy_difference": abs(float(np.mean(own)) - float(np.mean(peer))),
    }
    figures["ratio"] = figures["peer_seconds"] / seconds
    bars = {"ratio": (">=", 2.5), "accuracy_difference": ("<=", 0.02)}
    return {"convnets": case(figures, bars, applies=fast)}


if __name__ == "__main__":
    print(json.dumps(cases(), indent=2))
