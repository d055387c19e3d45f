"""What adversaries have beside the model: losses against slow twins, jobs and their keys, refusals, a whole audit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from audits import BASE, faces
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.inversion.attacks import GMI, PLGMI
from dosimeter.families.inversion.attacks.helped import helped_aim
from dosimeter.families.inversion.attacks.reading import aim_of, margin, of_logits
from dosimeter.families.inversion.attacks.views import AROUND, seen
from dosimeter.families.inversion.case.refusals import refusal
from dosimeter.families.inversion.game import Needs
from dosimeter.foundation.errors import AccessError, AuditError, TrainingError
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.models.learners import inert
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.deployment.network import Opened, deployed, origin
from dosimeter.training.learners.guided import Guided
from dosimeter.training.learners.students import Lessons
from families.inversion.games import PICTURE, game_of, helped

TINY = {"top": 10, "latent": 8, "generator_steps": 3, "critic_steps": 1, "restarts": 1, "steps": 5}


def chain(**finetune):
    """An audit of a small net that is pretrained on other people and finetuned on 20."""
    raw, fit = faces(), {"lr": 0.05, "batch_size": 16}
    raw["stage"] = [
        {"name": "pretrain", "data": "others", "model": "convnet", "options": {"widths": [8, 16]}, **fit, "epochs": 3},
        {"name": "finetune", "data": "private", "transfer": "full", **fit, "epochs": 60, **finetune},
    ]
    raw["attack"] = [
        {"name": "gmi", "id": "taught", "students": 2, "student_steps": 10, "restarts": 1, "steps": 60},
        {"name": "gmi", "id": "usual", "checkpoint": "usual", "restarts": 1, "steps": 60},
        {"name": "gmi", "id": "change", "checkpoint": "change", "restarts": 1, "steps": 60},
        {"name": "plg_mi", **TINY},
        {"name": "mean_public"},
    ]
    return raw


def case_of(raw, tmp_path):
    return prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases["inversion"]


class Deep(nn.Module):
    """A network of which finetuning changed known features: those that know the looks, beside others that it left."""

    def __init__(self, known, noise, reads):
        super().__init__()
        v = len(known)
        self.body = nn.Linear(known.shape[1], v + len(noise))
        self.head = nn.Linear(v + len(noise), v, bias=False)
        with torch.no_grad():
            self.body.weight.copy_(torch.cat([known, noise]))
            self.body.bias.zero_()
            self.head.weight.copy_(torch.cat([torch.eye(v), reads], 1))
        self.requires_grad_(False)

    def forward(self, x):
        return self.head(self.body(x.flatten(1)))


def changed_game(seed):
    """A finetuned network and the one before it; and what the former knows through the change alone."""
    game, _ = game_of(seed, leaks=True, sharpness=4.0)
    looks, (v, d) = game.opened.head.weight.detach(), game.opened.head.weight.shape
    torch.manual_seed(seed)
    noise, reads = torch.randn(3, d), torch.randn(v, 3)
    tuned, before = Deep(looks, noise, reads), Deep(torch.zeros_like(looks), noise, reads)
    alone = Deep(looks, torch.zeros_like(noise), reads)
    opened = [Opened(one, one.head) for one in (tuned, before, alone)]
    return replace(game, opened=opened[0], origin=opened[1]), replace(game, opened=opened[2])


def test_change_sees_what_finetuning_changed_and_nothing_else():
    """On features that finetuning left, the last layer reads zero: the attack is that on a network without them."""
    game, alone = changed_game(0)
    wanted, records = torch.arange(10), game.public[:10]
    plain = aim_of(alone, "ce", wanted)(records)
    assert torch.allclose(helped_aim(game, "ce", wanted, "change")(records), plain, atol=1e-4)
    assert not torch.allclose(aim_of(game, "ce", wanted)(records), plain, atol=1e-1)
    features = game.opened.answer(records)[0]
    usual = game.opened.answer(game.public)[0].mean(0)
    logits = alone.opened.model(records)[wanted, wanted]
    expected = ((features - usual) ** 2).mean(1) - logits
    assert torch.allclose(helped_aim(game, "logit", wanted, "change")(records), expected, atol=1e-3)


def test_usual_adds_the_oddity_of_the_features_before_finetuning_by_hand():
    game, _ = changed_game(1)
    wanted, records = torch.tensor([0, 3, 7]), game.public[:3] + 0.1
    plain, with_it = (helped_aim(game, "ce", wanted, *more)(records) for more in ((), ("usual", 0.5)))
    before = game.origin.answer(game.public)[0].double().numpy()
    mean, spread = before.mean(0), before.std(0)
    live = spread > 1e-6
    assert 0 < live.sum() < len(live)  # features that are the same for all public records do not count
    for row, one in enumerate(game.origin.answer(records)[0].double().numpy()):
        odd = np.mean(((one - mean)[live] / spread[live]) ** 2)
        assert float(with_it[row] - plain[row]) == pytest.approx(0.5 * odd, rel=1e-3)


def test_a_network_to_which_all_records_are_the_same_is_refused():
    game, _ = changed_game(2)
    blank = Deep(torch.zeros(10, 30), torch.zeros(3, 30), torch.zeros(10, 3))
    with pytest.raises(AuditError, match="checkpoint = 'usual' needs features that differ"):
        helped_aim(replace(game, origin=Opened(blank, blank.head)), "ce", torch.arange(10), "usual", 1.0)


@pytest.mark.parametrize("aim", ["ce", "logit", "margin", "poincare"])
def test_with_students_the_loss_is_the_mean_of_the_models_and_theirs(aim):
    game = helped(game_of(3, leaks=True)[0], Needs(students=Lessons(2, 5)))
    wanted, records = torch.tensor([1, 1, 8]), game.public[:3]
    found = helped_aim(game, aim, wanted)(records)
    terms = [aim_of(game, aim, wanted)(records), *(of_logits(aim, one(records), wanted) for one in game.students)]
    assert torch.allclose(found, sum(terms) / 3, atol=1e-5)


def test_the_features_of_the_logit_loss_are_those_of_the_model_alone():
    """The distance from usual features is asked of the model; students only give the logit of the class."""
    game = helped(game_of(4, leaks=True)[0], Needs(students=Lessons(1, 5)))
    x, wanted = game.public[:2], torch.tensor([0, 9])
    own = ((x.flatten(1) - game.public.flatten(1).mean(0)) ** 2).mean(1) - game.opened.model(x)[[0, 1], wanted]
    expected = (own - game.students[0](x)[[0, 1], wanted]) / 2
    assert torch.allclose(helped_aim(game, "logit", wanted)(x), expected, atol=1e-5)


class Shifted(nn.Module):
    """Records on a plane through the middle of each class."""

    def __init__(self, axes, middles):
        super().__init__()
        self.axes, self.middles = axes, middles

    def forward(self, latent, labels):
        return (self.middles[labels] + latent @ self.axes).reshape(-1, *PICTURE)


def test_plg_mi_is_its_slow_twin():
    """One latent at a time, Adam's recursion by hand, the margin of two views, through a generator that is known."""
    game, _ = game_of(5, leaks=True, pictures=True, sharpness=2.0)
    middles = game.public[:10].flatten(1)
    maker = Guided(Shifted(game.prior.directions[:4], middles), 4, PICTURE, game.prior.low, game.prior.high)
    attack = PLGMI(latent=4, restarts=2, steps=6, top=10)
    found = attack.run(replace(game, guided=maker), np.random.default_rng(3)).values[0]
    rng = np.random.default_rng(3)
    drawn = [[AROUND.draw(rng) for _ in range(2)] for _ in range(6)]
    starts = replace(game.starts, latent=4).of_classes(2)
    for identity in (0, 6):
        made = []
        for restart in range(2):
            z = starts[identity, restart].double().numpy().clip(-3, 3)
            m, v = np.zeros(4), np.zeros(4)
            for step, views in enumerate(drawn, 1):
                leaf = torch.tensor(z[None], dtype=torch.float32, requires_grad=True)
                record = maker.decode(leaf, torch.tensor([identity]))
                logits = [game.opened.model(seen(record, view))[0] for view in views]
                loss = sum(max(torch.cat([one[:identity], one[identity + 1 :]])) - one[identity] for one in logits) / 2
                slope = torch.autograd.grad(loss, leaf)[0][0].double().numpy()
                m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
                z = z - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
                z = z.clip(-3, 3)
            record = maker.decode(torch.tensor(z[None], dtype=torch.float32), torch.tensor([identity]))
            made.append((float(game.asked.log_probs(record)[0, identity]), record.numpy()[0]))
        made.sort(key=lambda one: -one[0])
        assert np.allclose(found[identity], np.stack([record for _, record in made]), atol=2e-3)


def test_what_a_game_lacks_is_said():
    game, _ = game_of(0, leaks=True, pictures=True)
    with pytest.raises(AccessError, match="needs a generator"):
        PLGMI().run(game, np.random.default_rng(0))
    with pytest.raises(AccessError, match="needs the weights that the model was finetuned from"):
        GMI(checkpoint="usual", steps=1).run(game, np.random.default_rng(0))


REFUSED = [
    ({"transfer": "scratch", "model": "convnet"}, {"usual", "change"}, r"stage 'finetune' starts from nothing: leave"),
    ({"transfer": "head"}, {"change"}, r"stage 'finetune' trains its last layer alone: use checkpoint = 'usual'"),
    ({"defenses": [{"name": "mid"}]}, {"change"}, r"a defense of stage 'finetune' puts others in their place"),
    ({"transfer": "last-k"}, set(), ""),
]


@pytest.mark.parametrize(("finetune", "refused", "message"), REFUSED, ids=["scratch", "head", "mid", "last-k"])
def test_what_the_weights_before_cannot_help_with_is_refused_in_one_line(finetune, refused, message, tmp_path):
    found = case_of(chain(**finetune), tmp_path).refusals()
    assert set(found) == refused
    assert all(message in one and "\n" not in one for one in found.values())


def test_at_plan_a_first_stage_has_no_weights_before_it(tmp_path):
    raw = faces()
    raw["attack"] = [{"name": "gmi", "checkpoint": "usual"}, {"name": "plg_mi", **TINY}, {"name": "mean_public"}]
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path, workers=1)
    refused = {one.id: one.refused for one in plan.attacks if one.refused}
    assert list(refused) == ["gmi logit"]
    assert "stage 'train' starts from nothing" in refused["gmi logit"]


def test_with_less_access_or_too_few_public_records_or_no_pictures_plg_mi_is_refused(tmp_path):
    raw = faces(access="probs")
    raw["attack"] = [{"name": "plg_mi"}, {"name": "mean_public"}]
    assert case_of(raw, tmp_path).refusals() == {
        "plg_mi": "needs weights, but threat.access grants probs: grant it or leave the attack out"
    }
    raw = faces()
    raw["attack"] = [{"name": "plg_mi", "top": 200}, {"name": "mean_public"}]
    (reason,) = case_of(raw, tmp_path).refusals().values()
    assert "needs more public records than its top = 200" in reason
    assert "got 200: lower top" in reason
    case = case_of({**raw, "attack": [{"name": "plg_mi"}]}, tmp_path)
    flat = replace(case, public=replace(case.public, inputs=case.public.inputs.reshape(200, -1)))
    assert flat.refusals() == {"plg_mi": "needs pictures, but records have the shape (644,): leave the attack out"}


def test_what_is_trained_beside_a_model_needs_its_weights_whatever_an_attack_says_of_its_access(tmp_path):
    """A generator follows gradients, and students see answers before any defense of them."""
    case = case_of(faces(access="probs"), tmp_path)
    needs = [Needs(Access.PROBS, students=Lessons(1, 1)), Needs(Access.LABELS, guided=PLGMI().needs.guided)]
    told = [refusal(one, case.threat, case.public, case.system) for one in needs]
    assert all(one.startswith("needs weights, but threat.access grants probs") for one in told)
    assert not refusal(Needs(Access.PROBS), case.threat, case.public, case.system)


def test_each_model_has_its_own_trainings_whose_keys_hold_what_they_depend_on(tmp_path):
    case = case_of(chain(), tmp_path)
    jobs = case.trained_beside
    assert len(jobs) == 4  # a generator and students, for the audited model and for the null model
    assert {job.held.pack.key for job in jobs} == {case.packs[0].key, case.null_packs[0].key}
    keys = {job.key for job in jobs}
    assert len(keys) == 4
    fewer = chain()
    fewer["attack"] = fewer["attack"][3:]
    assert {job.key for job in case_of(fewer, tmp_path).trained_beside} < keys
    for change in ({"seed": 1}, {"attack": [{"name": "plg_mi", **TINY, "top": 9}, {"name": "mean_public"}]}):
        assert keys.isdisjoint(job.key for job in case_of({**chain(), **change}, tmp_path).trained_beside)
    searched = chain()
    searched["attack"][3]["steps"] = 6  # of the search, in which the generator has no part
    assert {job.key for job in case_of(searched, tmp_path).trained_beside} == keys
    assert any("4 trainings beside the models" in note for note in case.notes())


def test_jobs_store_what_was_trained(tmp_path):
    case = case_of(chain(epochs=1), tmp_path)
    for data in case.datasets():
        save_data(data, case.system.store)
    for job in (*case.system.before, *case.features, *case.packs):
        job.perform()
    guided, students = (next(job for job in case.trained_beside if job.kind == kind) for kind in ("guided", "students"))
    for job in (guided, students):
        job.perform()
    latent, labels = torch.randn(3, 8), torch.tensor([0, 19, 4])
    made = guided.load().decode(latent, labels)
    assert made.shape == (3, 1, 28, 23)
    assert torch.equal(made, guided.load().decode(latent, labels))
    public = torch.from_numpy(case.public.inputs).float() / 255
    assert public.min() <= made.min() <= made.max() <= public.max()
    first, second = (one(public[:5]) for one in students.load())
    assert first.shape == (5, 20)
    assert not torch.allclose(first, second)
    again = [inert(one)(public[:5]) for one in students.load()]
    assert torch.equal(again[0], first)


@pytest.mark.parametrize("finetune", [{"transfer": "head"}, {"transfer": "last-k"}], ids=["head", "last-k"])
def test_frozen_parameters_and_statistics_are_bit_identical_to_those_before_finetuning(finetune, tmp_path):
    """The network that an adversary compares with is the released one, and what is frozen is the same in both."""
    case = case_of(chain(epochs=2, **finetune), tmp_path)
    for data in case.datasets():
        save_data(data, case.system.store)
    for job in (*case.system.before, *case.features, *case.packs):
        job.perform()
    before, after = origin(case.packs[0]), deployed(case.packs[0], 0)
    released = case.system.store.load(case.system.parent)
    assert all(torch.equal(one, released[name]) for name, one in before.model.state_dict().items())
    states = [
        [tuple(block.state_dict().values()) for block in model.backbone.children() if block.state_dict()]
        for model in (before.model, after)
    ]
    same = [all(map(torch.equal, *pair)) for pair in zip(*states, strict=True)]
    assert same == [True] * (len(same) - 1) + [finetune["transfer"] == "head"]


def test_a_model_that_starts_from_nothing_has_no_origin(tmp_path):
    with pytest.raises(TrainingError, match="must start from weights of a stage before it"):
        origin(case_of(faces(), tmp_path).packs[0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside")
    verbs.run(parse(chain(), base=BASE), folder / "run", workers=1, store=folder / "store")
    return json.loads((folder / "run" / "result.json").read_text()), folder


def test_a_whole_audit_finds_people_with_help_and_nobody_in_the_model_of_exchanged_names(finished):
    """The null model learned labels that were exchanged among private identities: it is attacked at the floor."""
    (threat,) = finished[0]["threats"]
    assert threat["verdict"]["status"] == "shown"
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    assert max(one["value"] for one in threat["null_audit"]) <= 0.25
    shares = {
        one["attack"]: one["value"]
        for one in threat["estimates"]
        if one["metric"] == "recognised" and one["conditions"]["top"] == 1
    }
    assert min(shares[name] for name in ("taught", "usual", "change")) >= 0.2


def test_the_report_says_who_had_the_weights_before_finetuning(finished):
    result, folder = finished
    (threat,) = result["threats"]
    assert threat["adversary"]["origin"] == ["usual", "change"]
    assert not [one for one in threat["not_tested"] if "finetuned" in one]
    page = (folder / "run" / "report.html").read_text("utf-8").replace("\xa0", " ")
    assert "For “usual”, “change” they also have the weights that the model was finetuned from." in page
    assert "GMI logit" not in page  # three rows would be called so, which their ids tell apart
    told = "and the weights that it was finetuned from" in threat["verdict"]["sentences"][0]
    assert told == (threat["verdict"]["attack"] in ("usual", "change"))


def test_an_attack_that_is_added_trains_nothing_anew(finished, tmp_path, monkeypatch):
    from dosimeter.families.inversion.play import beside

    _, folder = finished
    monkeypatch.setattr(beside.GuidedJob, "perform", lambda self: pytest.fail("trained anew"))
    monkeypatch.setattr(beside.StudentsJob, "perform", lambda self: pytest.fail("trained anew"))
    raw = chain()
    raw["attack"][3]["restarts"] = 2
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=folder / "store")
    assert (tmp_path / "run" / "result.json").is_file()


def test_margins_are_those_of_the_paper():
    logits = torch.tensor([[1.0, 4.0, 2.0], [5.0, 0.0, 1.0]])
    assert margin(logits, torch.tensor([1, 1])).tolist() == [-2.0, 5.0]
