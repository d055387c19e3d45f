"""Audit a program of torch.export: a model without its Python code."""

import torch
from networks import build, fit, parts, train

import dosimeter

members, nonmembers, population = parts()
torch.manual_seed(0)
model = train(build((1, 8, 8), 10), *members, seed=0)
program = torch.export.export(model, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("records")},))

# --- the audit
dosimeter.audit(program, members=members, nonmembers=nonmembers, population=population, fit=fit, out="runs/exported")
