"""What every metric asks of its samples, and the words for samples that are not so."""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.errors import DataError


def check_features(metric: str, least: int, **samples: Tensor) -> None:
    """Each of `samples`, by name, is [N, d] of finite floats with N at least `least`, and all have one d.

    Raises:
        DataError: otherwise.
    """
    for name, x in samples.items():
        check_matrix(metric, least, name, x)
    if len({x.shape[1] for x in samples.values()}) > 1:
        shapes = " and ".join(f"{name} {list(x.shape)}" for name, x in samples.items())
        raise DataError(
            f"{metric} compares features of one dimension; here are {shapes}.\n"
            "Compute all of them with the same encoder."
        )


def check_matrix(metric: str, least: int, name: str, x: Tensor) -> None:
    if x.ndim != 2 or not x.is_floating_point():
        raise DataError(
            f"{metric} takes features as floats [samples, dimension]; '{name}' is {str(x.dtype)[6:]} {list(x.shape)}.\n"
            "Give images to an encoder first, or flatten them: x.flatten(1).float()."
        )
    check_count(metric, least, name, x)
    if not torch.isfinite(torch.stack(x.aminmax())).all():  # NaN spreads to both ends
        bad = int((~torch.isfinite(x)).any(1).sum())
        raise DataError(
            f"{metric}: {bad} of {len(x)} rows of '{name}' hold NaN or infinity.\n"
            "The generator or the encoder has left the finite numbers: leave these rows out only if you say so."
        )


def check_count(metric: str, least: int, name: str, x: Tensor) -> None:
    if len(x) < least:
        raise DataError(f"{metric} needs at least {least} samples; '{name}' has {len(x)}. Give it more samples.")


def common(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider of their types, float32 at least, without gradients."""
    kind = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.detach().to(kind), b.detach().to(kind)


def check_images(metric: str, bounds: tuple[float, float], least: int = 1, **images: Tensor) -> None:
    """Each of `images`, by name, is [N, C, H, W] with values within `bounds`, and all have one C, H, W.

    Raises:
        DataError: otherwise.
    """
    low, high = bounds
    for name, x in images.items():
        if x.ndim != 4:
            raise DataError(f"{metric} takes images [N, C, H, W]; '{name}' is {list(x.shape)}.")
        check_count(metric, least, name, x)
        found = x.min().item(), x.max().item()
        if not (low <= found[0] and found[1] <= high):  # NaN is never within
            raise DataError(
                f"{metric}: values of '{name}' reach from {found[0]:g} to {found[1]:g}, outside {low:g} to {high:g}.\n"
                "Scale the images, or state their range as `bounds`."
            )
    if len({x.shape[1:] for x in images.values()}) > 1:
        shapes = " and ".join(f"{name} {list(x.shape[1:])}" for name, x in images.items())
        raise DataError(
            f"{metric} compares images of one size and channel count; here are {shapes}.\nResize one of them."
        )
