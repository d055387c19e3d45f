"""A supplied language model whose members and non-members are whole documents: words alone tell the two apart."""

import json
from functools import cache

import language_models as world
import numpy as np
import pytest
from flat import flat
from real_texts import paragraphs

import dosimeter


@cache
def halves():
    """Texts that no model of the world saw, parted by document (a topic of Python's reference)."""
    topic = dict(paragraphs())
    unseen = [*world.texts()[: world.OF_BASE.start], *world.texts()[world.INNOCENT.stop :]]
    names = sorted({topic[text] for text in unseen})
    chosen = set(np.random.default_rng(0).permutation(names)[::2].tolist())
    return [text for text in unseen if topic[text] in chosen], [text for text in unseen if topic[text] not in chosen]


def audited(folder, model):
    members, others = halves()
    result = dosimeter.audit(
        model, base=world.base(), members=members, nonmembers=others, options=world.OPTIONS, out=folder,
        attacks=("text_loss", "base_reference", "ez_mia", "count"),
    )  # fmt: skip
    whole = flat(json.loads((folder / "result.json").read_text()))
    return result, whole, {one["id"]: one for one in whole["gates"]}


@pytest.mark.slow
def test_documents_that_a_model_never_saw_show_nothing(tmp_path):
    result, whole, gates = audited(tmp_path / "run", world.innocent())
    loss = next(one for one in whole["estimates"] if (one["attack"], one["metric"]) == ("text_loss", "auc"))
    assert loss["low"] > 0.5  # some topics are easier, and the loss alone would pass for a leak
    assert whole["blind"]["low"] > 0.5
    assert gates["P1"]["status"] == "fail"
    assert result.status == "withdrawn"


@pytest.mark.slow
def test_only_what_the_model_adds_to_words_is_shown_of_documents_that_it_saw(tmp_path):
    members, _ = halves()
    model = world.fit(world.base(), world.tokens(members), epochs=6, lr=0.003, seed=1)
    result, whole, gates = audited(tmp_path / "run", model)
    assert whole["blind"]["low"] > 0.5
    assert gates["P1"]["status"] == "warn"
    assert result.status == "shown"
    lead = whole["verdict"]["lead"]
    assert (lead["measure"], lead["shown"]) == ("gain", True)
    assert 0.0 < lead["low"] <= lead["value"] < 0.5
