"""Audit anything that answers: here a function that gives three decimals, as an endpoint would."""

import networks
import torch

import dosimeter

members, nonmembers, population = networks.parts()


def endpoint(network):
    """Give a network's probabilities of ten classes, rounded; `images` is a tensor `[n 1 8 8]`."""
    return lambda images: torch.softmax(network(images), 1).round(decimals=3)


def fit(dataset, seed):
    """Train a fresh network and let it answer as the audited one does."""
    return endpoint(networks.fit(dataset, seed))


torch.manual_seed(0)
predict = endpoint(networks.train(networks.build((1, 8, 8), 10), *members, seed=0))

# --- the audit
dosimeter.audit(predict, members=members, nonmembers=nonmembers, population=population, fit=fit, out="runs/callable")
