"""D that judges several samples at once: what lies beside what, and the collapse that a single sample cannot tell."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from equipoise.nets import mlp
from equipoise.nets.packing import Packed, packed, shape_of
from equipoise.penalties import one_centered, zero_centered


class Weighted(nn.Module):
    """Sees a pack of two points [B / 2, 4]: w . pack."""

    def __init__(self):
        super().__init__()
        self.w = torch.tensor([1.0, 10, 100, 1000])

    def forward(self, x, y):
        assert len(x) == len(y)
        return x @ self.w


def test_a_pack_is_consecutive_samples_side_by_side_and_what_is_left_over_is_not_judged():
    x = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8], [9, 9]])
    assert Packed(Weighted(), 2)(x, torch.zeros(5)).tolist() == [4321, 8765]


def test_images_are_packed_by_channels():
    assert (shape_of((3, 8, 8), 4), shape_of((2,), 3)) == ((12, 8, 8), (6,))
    x = torch.randn(6, 2, 4, 4)
    seen = Packed(lambda_net(lambda x, y: x), 3)(x, torch.zeros(6))
    assert torch.equal(seen, torch.stack([torch.cat([*x[:3]]), torch.cat([*x[3:]])]))


def lambda_net(function):
    class Net(nn.Module):
        def forward(self, x, y):
            return function(x, y)

    return Net()


def test_a_pack_of_one_is_the_network_itself():
    net = Weighted()
    assert packed(net, 1) is net
    assert isinstance(packed(net, 2), Packed)


def test_slopes_are_those_of_whole_packs():
    D, y = Packed(Weighted(), 2), torch.zeros(6)
    x = torch.randn(6, 2, requires_grad=True)
    assert_close(zero_centered(x, D(x, y)), torch.full((3,), 1010101.0))
    off = one_centered(lambda x: D(x, y), x, torch.randn(6, 2), torch.rand(6))
    assert_close(off, torch.full((3,), (1010101.0**0.5 - 1) ** 2))


@pytest.mark.parametrize(("pack", "sees"), [(1, False), (2, True)])
def test_packs_show_a_collapse_that_single_samples_cannot(pack, sees):
    """Reals are -1 or 1, either with chance 1/2; so are fakes, but those of a pack are always equal."""
    torch.manual_seed(0)
    D = packed(mlp.Discriminator(shape_of((1,), pack), widths=(16,)), pack)
    optimizer, y = torch.optim.Adam(D.parameters(), 0.02), torch.zeros(64).long()

    def right():
        real = torch.randint(2, (64, 1)) * 2.0 - 1
        fake = (torch.randint(2, (64 // pack, 1)) * 2.0 - 1).repeat_interleave(pack, 0)
        return D(real, y), D(fake, y)

    for _ in range(150):
        real, fake = right()
        loss = (softplus(-real) + softplus(fake)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    told = torch.stack([(real.mean() - fake.mean()).detach() for real, fake in (right() for _ in range(20))]).mean()
    assert (told.item() > 1) == sees
