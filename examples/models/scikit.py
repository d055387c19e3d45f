"""Audit a scikit-learn classifier; its shadows are scikit-learn classifiers too."""

from networks import parts
from sklearn.ensemble import RandomForestClassifier

import dosimeter

members, nonmembers, population = parts()


def fit(dataset, seed):
    """Train a fresh forest as the audited one was trained."""
    images = dataset.inputs.reshape(len(dataset), -1)
    return RandomForestClassifier(50, random_state=seed).fit(images, dataset.labels)


inputs, labels = members
model = RandomForestClassifier(50, random_state=0).fit(inputs.reshape(len(inputs), -1), labels)

# --- the audit
dosimeter.audit(model, members=members, nonmembers=nonmembers, population=population, fit=fit, out="runs/scikit")
