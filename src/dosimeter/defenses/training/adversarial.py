"""Adversarial: the layers before a cut learn the task, and learn to leave adversaries without what they want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dosimeter.training.construction.settings import Construction


@dataclass(frozen=True)
class Adversarial(Construction):
    """Train the task while adversaries learn, from what crosses a cut, the input or an attribute, and make them fail.

    Paper: Chi, Owusu, Yin, Yu, Chan, Tague, Tian, "Privacy Partitioning: Protecting User Data During the Deep Learning
    Inference Phase", 2018, https://arxiv.org/abs/1812.02863. Before each update of the model every adversary learns
    `steps` times on the batch, with the model as it is. Then the model learns

        loss of the task + w_e · (1 / pool) Σ price of the adversaries,   w_e = weight · min(1, (e − warm_up) / ramp),

    where no adversary changes. The price is one of

        confusion   P2, attributes: KL(shares of the values || answer), 0 where the adversary answers with those shares
        mean_input  P3, inputs: squared distance of the reconstruction to the mean record
        reversal    P1: minus what the adversary learns by, as gradient reversal does
        hinge       P4, pictures: max(0, SSIM − threshold)
        perceptual  P5, pictures: minus the pixels' error and minus that of two layers with fixed random weights.

    Stronger: a larger weight; more steps and adversaries make the training's adversaries stronger.
    Deviations: we know the abstract of that paper alone, so this is our reconstruction and not its method. Errors of
    reconstructions are in units of the records' spread, so that a weight means the same for all records. Adversaries
    see the features before any defense at the cut. Those after an attribute have two hidden layers of 128 units; those
    after inputs are the network of the attack `decoder`. None has a normalisation over the batch.
    Cost: that of one training, and steps · pool updates of each kind of adversary for each one of the model.

    Attributes:
        cut: the layer after which the model is cut, as `dosimeter plan --topology` names it; required.
        against: "input", "attribute:NAME", or several of them.
        objective: one for all, or one for each of `against`; "confusion" and "mean_input" unless given.
        weight: of the price, from 0 on.
        steps: updates of each adversary for each one of the model.
        pool: adversaries of each kind; their prices are averaged.
        reset: epochs after which the oldest adversary of each kind begins anew; 0 for never.
        warm_up: epochs without a price, in which adversaries learn alone.
        ramp: share of the epochs in which the weight grows from 0.
        adversary_lr: learning rate of the adversaries, who use Adam.
        threshold: SSIM below which "hinge" is content.
    """

    paper: ClassVar[str] = "Chi et al., 2018, https://arxiv.org/abs/1812.02863"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = (
        {"cut": "backbone", "weight": 0.2}, {"cut": "backbone", "weight": 1.0}, {"cut": "backbone", "weight": 5.0},
    )  # fmt: skip

    cut: str = ""

    def adversaries(self) -> Construction:
        """Implements `FightsAdversaries`."""
        return self

    def after(self) -> str:
        """Implements `FightsAdversaries`."""
        return self.cut
