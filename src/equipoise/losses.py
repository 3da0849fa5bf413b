"""Adversarial losses: what each player minimises, as functions of D's logits.

Every function maps logits of any shape (PatchGAN maps included) to a loss of the same shape; the caller
takes the mean. A larger logit means "more real" everywhere, a critic's score included. Below them, the losses of a D
that also names the class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as negative_log_likelihood
from torch.nn.functional import relu, softplus

from equipoise.errors import ConfigError

PairLoss = Callable[[Tensor, Tensor], Tensor]
LabelLoss = Callable[[Tensor, float], Tensor]
ClassLoss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (evidence [B, E], classes [K, E], y [B]) -> [B]


class AdversarialLoss(NamedTuple):
    """The pair (L_D, L_G). Both take (real_logits, fake_logits) and return one value per logit."""

    discriminator: PairLoss
    generator: PairLoss
    relativistic: bool = False  # L_G compares fakes with reals, so the G step must score reals too
    label_loss: LabelLoss | None = None  # (logits, label in [0, 1]) -> loss, where D answers with labels


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """-label log sigmoid(l) - (1 - label) log(1 - sigmoid(l)), in the form that never overflows.

    softplus(-l) = -log sigmoid(l) and softplus(l) = -log(1 - sigmoid(l)).
    """
    return label * softplus(-logits) + (1 - label) * softplus(logits)


# Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1: G minimises log(1 - D(G(z))), which saturates early.
minimax = AdversarialLoss(
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: -softplus(fake),
    label_loss=cross_entropy,
)

# Goodfellow et al. 2014, section 3: G maximises log D(G(z)) instead.
nonsaturating = AdversarialLoss(
    discriminator=lambda real, fake: softplus(-real) + softplus(fake),
    generator=lambda real, fake: softplus(-fake),
    label_loss=cross_entropy,
)

# Arjovsky et al. 2017 (arXiv:1701.07875), eq. 2. Needs a Lipschitz constraint on D. No labels: a version that
# multiplies by labels 1 and 0 drops the fake term; the signs are 1 and -1.
wasserstein = AdversarialLoss(
    discriminator=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,
)

# Lim & Ye 2017 (arXiv:1705.02894); Miyato et al. 2018 (arXiv:1802.05957), eq. 16-17.
hinge = AdversarialLoss(
    discriminator=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,
)

# Jolicoeur-Martineau 2018 (arXiv:1807.00734); Huang et al. 2024 (arXiv:2501.05441), eq. 2.
relativistic = AdversarialLoss(
    discriminator=lambda real, fake: softplus(fake - real),
    generator=lambda real, fake: softplus(real - fake),
    relativistic=True,
)


def least_squares(a: float = 0.0, b: float = 1.0, c: float = 1.0) -> AdversarialLoss:
    """Mao et al. 2017 (arXiv:1611.04076), eq. 2: D wants `a` on fakes and `b` on reals, G wants `c` on fakes.

    The paper's two choices are a = -1, b = 1, c = 0 (Pearson chi-squared) and a = 0, b = c = 1.

    Raises:
        ConfigError: for a = b (D has nothing to tell apart) and c = a (G is asked to do what D wants).
    """
    if a == b:
        raise ConfigError(f"least squares with a = b = {a:g} gives D nothing to tell apart: use a = 0, b = 1, c = 1.")
    if c == a:
        raise ConfigError(
            f"least squares with a = c = {c:g} gives G no incentive: its target is the label of a fake.\n"
            "Use a = 0, b = 1, c = 1, or a = -1, b = 1, c = 0."
        )
    return AdversarialLoss(
        discriminator=lambda real, fake: ((real - b).square() + (fake - a).square()) / 2,
        generator=lambda real, fake: (fake - c).square() / 2,
        label_loss=lambda logits, label: (logits - a - label * (b - a)).square() / 2,
    )


def smoothed(loss: AdversarialLoss, real: float = 0.0, fake: float = 0.0) -> AdversarialLoss:
    """Label smoothing for D: reals are labelled 1 - `real`, fakes `fake`; G's loss stays as it is.

    One-sided with `fake` = 0 (Salimans et al. 2016, arXiv:1606.03498, section 3.4, real = .1), else two-sided.

    Raises:
        ConfigError: for a loss without labels (wasserstein, hinge, relativistic), or labels that cross.
    """
    if real == 0 and fake == 0:
        return loss
    label_loss = loss.label_loss
    if label_loss is None:
        raise ConfigError(
            "label smoothing needs a loss whose D answers with labels: minimax, nonsaturating or least-squares.\n"
            "Set knobs.smooth_real and knobs.smooth_fake to 0, or choose one of these losses."
        )
    if real < 0 or fake < 0 or real + fake >= 1:
        raise ConfigError(f"label smoothing of {real:g} and {fake:g}: both must be >= 0, with a sum below 1.")
    return loss._replace(
        discriminator=lambda r, f: label_loss(r, 1 - real) + label_loss(f, fake),
    )


def class_cross_entropy(evidence: Tensor, classes: Tensor, y: Tensor) -> Tensor:
    """-log p(y | x) of a classifier whose logits are the products of evidence [B, E] and classes [K, E]. Returns [B].

    Odena et al. 2017 (arXiv:1610.09585), eq. 3.
    """
    return negative_log_likelihood(evidence @ classes.T, y, reduction="none")


def data_to_data(
    evidence: Tensor, classes: Tensor, y: Tensor, margin: float = 0.98, temperature: float = 0.5
) -> Tensor:
    """D2D-CE: a sample is drawn to the proxy of its class, up to a cosine of `margin`, and away from the samples of
    other classes in the batch, down to 1 - `margin`. Returns [B].

    Kang et al. 2021 (arXiv:2111.01118), eq. 6. Evidence [B, E] and classes [K, E] are of length 1, y [B].
    """
    cosine = (evidence * classes[y]).sum(1)  # [B]
    attraction = (cosine - margin).clamp(max=0) / temperature
    repulsion = relu(evidence @ evidence.T - (1 - margin)) / temperature  # [B, B]
    of_others = repulsion.masked_fill(y[:, None] == y, -torch.inf)
    return torch.cat([attraction[:, None], of_others], dim=1).logsumexp(1) - attraction


CLASS_LOSSES: dict[str, ClassLoss] = {"cross-entropy": class_cross_entropy, "data-to-data": data_to_data}
LOSSES: dict[str, AdversarialLoss] = {
    "minimax": minimax,
    "nonsaturating": nonsaturating,
    "least-squares": least_squares(),
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
}
