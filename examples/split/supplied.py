"""Ask of a trained network of your own what crosses its cut, and what noise there hides.

python examples/split/supplied.py
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

import dosimeter
from dosimeter.data import load

digits = load("digits")
bright = digits.inputs.mean((1, 2, 3))  # the private attribute: whether a digit is written with much ink
digits = replace(digits, attributes={"ink": np.where(bright > np.median(bright), "much", "little")})
members, victims, auxiliary = (digits.take(np.arange(*rows)) for rows in ((0, 800), (800, 1000), (1000, 1797)))

torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
optimiser = torch.optim.Adam(model.parameters(), 3e-3)
inputs, labels = torch.from_numpy(members.inputs), torch.from_numpy(members.labels)
for _ in range(300):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(inputs), labels).backward()
    optimiser.step()

# --- the audit
threat = {"family": "split", "cuts": "all", "attributes": ["ink"]}
result = dosimeter.audit(
    model,
    members=members,
    data={"victims": victims, "auxiliary": auxiliary},
    threats=[threat],
    defenses=[{"name": "noise", "scale": 2.0}],
    out="runs/digits",
)
print(result)
result.save_partition("runs/digits-halves", cut="4", model=model)
