"""The discriminator that looks twice: where it looks, and that both looks count."""

import torch

from equipoise.nets.focused import FocusedDiscriminator, around, cut


def hole(top: int, left: int, side: int = 4, n: int = 16) -> torch.Tensor:
    mask = torch.zeros(1, n, n)
    mask[:, top : top + side, left : left + side] = 1
    return mask


def test_the_square_lies_around_the_middle_of_the_hole_and_within_the_picture():
    assert around(hole(6, 6), 0, 8)[0].tolist() == list(range(4, 12))
    assert around(hole(0, 12), 0, 8)[0].tolist() == list(range(8))
    assert around(hole(0, 12), 1, 8)[0].tolist() == list(range(8, 16))
    assert around(torch.zeros(1, 16, 16), 1, 8)[0].tolist() == list(range(4, 12))


def test_cutting_takes_the_same_place_of_every_channel():
    x = torch.arange(2 * 3 * 36.0).view(2, 3, 6, 6)
    rows, columns = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0, 1], [4, 5]])
    found = cut(x, rows, columns)
    assert torch.equal(found[0], x[0, :, 1:3, 0:2]) and torch.equal(found[1], x[1, :, 3:5, 4:6])


def test_the_local_one_sees_nothing_far_from_the_hole_and_the_global_one_does():
    torch.manual_seed(0)
    D = FocusedDiscriminator((1, 32, 32), given=2, width=4, layers=1)
    y = torch.cat([torch.zeros(1, 1, 32, 32), hole(4, 4, n=32)[None]], 1)
    x = torch.zeros(1, 1, 32, 32, requires_grad=True)
    logits = D(x, y)
    assert logits.shape[:2] == (1, 2)
    local = torch.autograd.grad(logits[:, 1].sum(), x, retain_graph=True)[0][0, 0]
    whole = torch.autograd.grad(logits[:, 0].sum(), x)[0][0, 0]
    assert local[16:].abs().max() == 0 and local[:, 16:].abs().max() == 0 and local[:16, :16].abs().max() > 0
    assert whole[20:, 20:].abs().max() > 0
