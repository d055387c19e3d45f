"""Write the files that state_dict.toml names: weights, and three tables of records."""

from pathlib import Path

import numpy as np
import torch
from networks import build, parts, train
from safetensors.torch import save_file

members, nonmembers, population = parts()
torch.manual_seed(0)
model = train(build((1, 8, 8), 10), *members, seed=0)

folder = Path(__file__).parent / "digits"
folder.mkdir(exist_ok=True)
save_file(model.state_dict(), folder / "weights.safetensors")
for name, (inputs, labels) in {"members": members, "nonmembers": nonmembers, "population": population}.items():
    np.savez(folder / f"{name}.npz", inputs=inputs, labels=labels)
