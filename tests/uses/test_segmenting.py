"""The segmenter finds what can be found, does not find what is not there, and is unsure where nobody can know."""

import numpy as np
import pytest
import torch

from equipoise.errors import DataError
from equipoise.uses.segmenting import Cases, Learning, Segmented, dice, judged, overlaid, segmented, trained

HOW = Learning(steps=60, batch=8, width=4, rate=4e-3)


def cases(n, seed, seen=True):
    """Noise with a bright square of 5 pixels, which is the lesion; or with masks that nothing tells of."""
    chance = torch.Generator().manual_seed(seed)
    x = 0.2 * torch.randn(n, 1, 16, 16, generator=chance) - 0.5
    masks = torch.zeros(n, 1, 16, 16, dtype=torch.bool)
    for i in range(n):
        top, left = torch.randint(0, 11, (2,), generator=chance).tolist()
        masks[i, 0, top : top + 5, left : left + 5] = True
    return torch.where(masks, x + 1.0, x) if seen else x, masks


def test_dice_by_hand():
    a, b = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    assert dice(a, b) == pytest.approx(2 / 3) and dice(a, a) == 1 and dice(a, ~a) == 0
    assert dice(torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)) == 1


def test_it_finds_bright_squares_and_not_what_nothing_tells_of():
    x, masks = cases(40, 1)
    found = segmented([trained(*cases(60, 0), 0, HOW)], x).chance > 0.5
    assert dice(found, masks) > 0.85
    x, masks = cases(40, 1, seen=False)
    found = segmented([trained(*cases(60, 0, seen=False), 0, HOW)], x).chance > 0.5
    assert dice(found, masks) < 0.5


def test_it_is_a_function_of_its_seed():
    (x, masks), few = cases(20, 0), HOW._replace(steps=3)
    a, b, other = (segmented([trained(x, masks, seed, few)], x).chance for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, other)


def test_nets_that_agree_deviate_by_nothing_and_masks_must_fit():
    x, masks = cases(10, 0)
    net = trained(x, masks, 0, HOW._replace(steps=2))
    assert segmented([net, net], x).deviation.max() == 0
    with pytest.raises(DataError, match="do not lie over"):
        trained(x, masks[:5], 0)
    with pytest.raises(DataError, match="empty"):
        trained(x, torch.zeros_like(masks), 0)


def test_chance_is_drawn_over_the_slice_and_nothing_where_there_is_none():
    x, zero = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    chance = zero.clone()
    chance[..., :32, :] = 1
    picture = np.asarray(overlaid(x, Segmented(chance, zero)))
    cells = [picture[2:66, 2 + 66 * i : 66 + 66 * i] for i in range(3)]
    assert (cells[0] == 128).all() and (cells[2] == 128).all()
    assert (cells[1][:32] == (213, 94, 0)).all() and (cells[1][32:] == 128).all()


def test_patients_are_judged_by_all_of_their_slices_and_the_interval_is_over_them():
    masks = torch.zeros(4, 1, 2, 2, dtype=torch.bool)
    masks[:, :, 0] = True
    chance = masks.double()
    chance[3, :, 0] = 0  # of the second patient one slice of two is missed
    found = judged(Segmented(chance, chance), Cases(chance, masks, torch.tensor([5, 5, 7, 7])))
    assert found.patients == {5: 1.0, 7: pytest.approx(2 / 3)}
    assert found.dice == pytest.approx(5 / 6) and 0 <= found.low < found.dice < found.high <= 1
