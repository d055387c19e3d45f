"""Ask of a face recogniser of your own whether people are recognised in what somebody makes with it.

pip install "dosimeter[demo]"
python examples/inversion/supplied.py
"""

import torch
from torch import nn

import dosimeter
from dosimeter.data import Options, load

faces = load("orl-faces", options=Options(size=(28, 23)))
own, learned = faces.labels < 20, (torch.arange(len(faces.labels)) % 2 == 0).numpy()  # half of the photos of 20 people


def photos(rows):
    """Photos as fractions, with the number of the person."""
    return faces.inputs[rows].astype("float32") / 255, faces.labels[rows]


torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 23, 64), nn.ReLU(), nn.Linear(64, 20))
optimiser = torch.optim.Adam(model.parameters(), 1e-3)
inputs, labels = (torch.from_numpy(one) for one in photos(own & learned))
for _ in range(200):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(inputs), labels).backward()
    optimiser.step()

# --- the audit
members, nonmembers, others = photos(own & learned), photos(own & ~learned), photos(~own)
threat = {"family": "inversion", "public": "others"}
result = dosimeter.audit(
    model, members=members, nonmembers=nonmembers, data={"others": others}, threats=[threat], out="runs/faces"
)
print(result)
