"""Write scores.csv as an attack of yours would: one target, 600 members and 600 non-members, two attacks."""

from pathlib import Path

import numpy as np

rng = np.random.default_rng(0)
is_member = rng.permutation(np.arange(1200) < 600)
rows = ["attack,id,score,is_member"]
for attack, lead in (("ours", 0.8), ("baseline", 0.2)):
    scores = rng.normal(lead * is_member)  # higher means "more likely member"
    rows += [f"{attack},{i},{scores[i]:.3f},{int(is_member[i])}" for i in range(1200)]
(Path(__file__).parent / "scores.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
