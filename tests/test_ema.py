"""The moving average against its closed form, and what its half-life means."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from equipoise.ema import EMA, decay


def net_of(value):
    net = nn.Linear(3, 2)
    for p in net.parameters():
        nn.init.constant_(p, value)
    return net


def average(ema):
    (value,) = {round(float(x), 6) for p in ema.net.parameters() for x in p.flatten()}
    return value


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_towards_constant_weights_the_average_moves_by_powers(steps):
    ema, target = EMA(net_of(1.0)), net_of(3.0)
    for i in range(steps):
        ema.update(target, images=32, seen=32 * i, halflife=100, ramp=None)
    assert average(ema) == pytest.approx(3 - 2 * 0.5 ** (32 * steps / 100), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 10, 50, 100])
def test_after_a_halflife_of_images_half_of_the_old_weights_is_left_whatever_the_batch(batch):
    ema, target = EMA(net_of(1.0)), net_of(0.0)
    for _ in range(100 // batch):
        ema.update(target, images=batch, seen=10**6, halflife=100, ramp=None)
    assert average(ema) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(("seen", "halflife"), [(1_000, 50), (100_000, 5_000), (200_000, 10_000), (10**7, 10_000)])
def test_the_ramp_shortens_the_halflife_while_few_images_were_seen(seen, halflife):
    assert decay(64, seen, 10_000, ramp=0.05) == pytest.approx(0.5 ** (64 / halflife))
    assert decay(64, seen, 10_000, ramp=None) == pytest.approx(0.5 ** (64 / 10_000))


@pytest.mark.parametrize(("seen", "halflife", "ramp"), [(100, 0, None), (100, 0, 0.05), (0, 100, 0.05)])
def test_without_memory_the_average_is_a_copy(seen, halflife, ramp):
    ema, net = EMA(net_of(1.0)), nn.Linear(3, 2)
    ema.update(net, images=8, seen=seen, halflife=halflife, ramp=ramp)
    assert all(torch.equal(a, b) for a, b in zip(ema.net.parameters(), net.parameters(), strict=True))


def test_an_endless_halflife_keeps_everything():
    assert decay(64, 1000, float("inf"), ramp=None) == 1


def test_buffers_are_copied():
    net = nn.BatchNorm1d(4)
    ema = EMA(net)
    net(torch.randn(9, 4) + 5)
    ema.update(net, images=9, seen=9, halflife=1000, ramp=None)
    assert_close(ema.net.running_mean, net.running_mean)
    assert ema.net.num_batches_tracked == net.num_batches_tracked == 1


def test_the_average_is_a_net_of_its_own_that_only_answers():
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    ema = EMA(net)
    nn.init.constant_(net[0].weight, 9)
    assert not (ema.net[0].weight == 9).any()
    assert not ema.net.training
    assert net.training
    assert not any(p.requires_grad for p in ema.net.parameters())
    assert all(p.requires_grad for p in net.parameters())


def test_the_state_carries_the_average():
    ema, other = EMA(net_of(1.0)), EMA(net_of(2.0))
    ema.update(net_of(5.0), images=50, seen=50, halflife=50, ramp=None)
    other.load_state_dict(ema.state_dict())
    assert average(other) == average(ema) == 3
