"""How one picture corresponds to another: in its pixels, its patches, the features of D, and its style.

All but `gram` and `moments` return one value per sample, [B]; the caller takes the mean. Nothing is detached here: what
is only aimed at should come without a graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """-log(exp(q_s . k_s / t) / sum_r exp(q_s . k_r / t)), the mean over S places: what it costs to tell each patch by
    its key from the S - 1 others of its own picture. Unit vectors q and k [B, S, F]. Returns [B].

    Park et al. 2020 (arXiv:2007.15651), eq. 2 and 3. Queries are of what was made, keys of what it was made of, without
    graph.
    """
    with torch.autocast(queries.device.type, enabled=False):  # half precision would round q . k / t to steps of 1/16
        alike = queries.float() @ keys.float().transpose(1, 2) / temperature  # [B, S, S]
    return (alike.logsumexp(2) - alike.diagonal(dim1=1, dim2=2)).mean(1)


def distance_l1(x: Tensor, target: Tensor) -> Tensor:
    """The mean of |x - target| over all numbers of a sample: Isola et al. 2017 (arXiv:1611.07004), eq. 3; cycle and
    identity of Zhu et al. 2017 (arXiv:1703.10593), eq. 2 and section 5.2. x and target [B, ...]. Returns [B]."""
    return (x.float() - target.float()).abs().flatten(1).mean(1)


def feature_matching(of_fake: Sequence[Tensor], of_real: Sequence[Tensor]) -> Tensor:
    """The sum over maps [B, C, h, w] of D, of all layers and scales, of their mean distance |real - fake|. Returns [B].

    Wang et al. 2018 (arXiv:1711.11585), eq. 4.
    """
    return torch.stack([distance_l1(fake, real) for fake, real in zip(of_fake, of_real, strict=True)]).sum(0)


def gram(x: Tensor) -> Tensor:
    """The products of channels, G_cd = sum over places of x_c x_d / (C H W), of features [B, C, H, W]. [B, C, C].

    Johnson et al. 2016 (arXiv:1603.08155), section 3.1.
    """
    flat = x.float().flatten(2)  # [B, C, H*W]
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def content(of_x: Sequence[Tensor], of_target: Sequence[Tensor]) -> Tensor:
    """The sum over maps [B, C, h, w] of their mean squared difference, over the mean square of the target's. [B].

    Gatys et al. 2016, eq. 1, as in Armanious et al. 2020 (arXiv:1806.06397), eq. 6; there maps have the scale of their
    layer, and each a weight of its own.
    """
    return torch.stack([relative(x, target) for x, target in zip(of_x, of_target, strict=True)]).sum(0)


def gram_style(of_x: Sequence[Tensor], of_style: Sequence[Tensor]) -> Tensor:
    """The same of the products of channels: Gatys et al. 2016, eq. 4, as in Armanious et al. 2020, eq. 5. Maps of x and
    of the style may have different sizes. Returns [B]."""
    pairs = zip(of_x, of_style, strict=True)
    return torch.stack([relative(gram(x), gram(style)) for x, style in pairs]).sum(0)


def relative(x: Tensor, target: Tensor) -> Tensor:
    """The mean of (x - target)^2, over the mean of target^2. [B, ...] -> [B]."""
    off, size = ((t.float()).square().flatten(1).mean(1) for t in (x - target, target))
    return off / size.clamp(min=1e-12)


def style_statistics(of_x: Sequence[Tensor], of_style: Sequence[Tensor]) -> Tensor:
    """The sum over maps [B, C, h, w] of the squared differences of means and of deviations, each the mean over
    channels. Maps of x and of the style may have different sizes. Returns [B].

    Huang & Belongie 2017 (arXiv:1703.06868), eq. 13; there the distance is not squared, and has no slope where both are
    equal.
    """
    each = [
        (mean - style_mean).square().mean(1) + (deviation - style_deviation).square().mean(1)
        for (mean, deviation), (style_mean, style_deviation) in zip(
            map(moments, of_x), map(moments, of_style), strict=True
        )
    ]
    return torch.stack(each).sum(0)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel of x [B, C, h, w] over its places. [B, C] both."""
    variance, mean = torch.var_mean(x.float(), (2, 3), correction=0)
    return mean, (variance + 1e-5).sqrt()  # a constant channel has a slope too


def per_image(logits: Tensor) -> Tensor:
    """The mean of all that D says of a picture, logits [B, ...]: what a relativistic loss can pair. Returns [B].

    Patches of unrelated pictures at the same place have nothing to do with each other.
    """
    return logits.reshape(len(logits), -1).mean(1)
