"""What a page shows of a look, for people: a map of samples, the field of D, how weights are spread.

All of bounded size, whatever the nets and the data are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.games.answers import heard
from equipoise.probes.players import at_rest, mean_logit

POINTS = 300  # of a map, of each kind
BARS = 40  # of a histogram
SIDE = 36  # points of a side of the field of D
ROOM = 0.15  # about the reals, of their extent


def principal(real: Tensor) -> Tensor:
    """The two directions in which features [N, d] vary most, [d, 2], each with its largest entry positive; features of
    two numbers stay as they are."""
    if real.shape[1] == 2:
        return torch.eye(2, dtype=real.dtype)
    centred = real - real.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    signed: Tensor = directions * largest.sign()
    return signed


def charted(real: Tensor, fake: Tensor, directions: Tensor) -> dict[str, Any]:
    """The first of each as points, in a frame that holds the reals: [left, right, low, high]."""
    flat = [(x[:POINTS].double() @ directions.double()) for x in (real, fake)]
    least, largest = flat[0].amin(0), flat[0].amax(0)
    room = ROOM * (largest - least).clamp(min=1e-9)
    (left, low), (right, high) = (least - room).tolist(), (largest + room).tolist()
    inside = [x.clamp(least - room, largest + room) for x in flat]  # what is far out lies at the edge
    rounded = [[[float(f"{a:.4g}"), float(f"{b:.4g}")] for a, b in x.tolist() if a == a and b == b] for x in inside]
    return {"box": [left, right, low, high], "real": rounded[0], "fake": rounded[1]}


@torch.no_grad()
def field(D: nn.Module, box: tuple[float, float, float, float]) -> dict[str, Any]:
    """D's logits over a plane, row by row from below."""
    left, right, low, high = box
    device = next(D.parameters()).device

    def middles(a: float, b: float) -> Tensor:
        return a + (b - a) * (torch.arange(SIDE) + 0.5) / SIDE

    y, x = torch.meshgrid(middles(low, high), middles(left, right), indexing="ij")
    points = torch.stack([x.flatten(), y.flatten()], 1).to(device)
    with at_rest(D):
        logits = mean_logit(heard(D(points, torch.zeros(len(points), dtype=torch.long, device=device))).logits)
    return {"n": SIDE, "logits": [float(f"{value:.4g}") for value in logits.double().tolist()]}


@torch.no_grad()
def weights(networks: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """A histogram of all weights of each network."""
    found = []
    for name, net in networks.items():
        parts = [p.detach().float().flatten() for p in net.parameters() if p.numel()]
        if not parts:
            continue
        low = min(float(p.min()) for p in parts)
        high = max(float(p.max()) for p in parts)
        if not (low < high < float("inf") and low > -float("inf")):
            continue
        counts = sum(torch.histc(p, BARS, low, high).cpu() for p in parts)
        assert isinstance(counts, Tensor)
        found.append({"name": name, "low": low, "high": high, "counts": [int(c) for c in counts.tolist()]})
    return found
