"""Layers that show D the other samples of a batch: their values by hand, and duplicates that they see."""

import pytest
import torch
from torch.testing import assert_close

from equipoise.nets import dcgan, mlp
from equipoise.nets.minibatch import MinibatchDiscrimination, MinibatchStd, minibatch


def test_the_deviation_of_a_group_is_one_more_channel():
    x = torch.zeros(4, 2, 3, 3)
    x[1::2, 0] = 6  # a deviation of 3 in one channel of two: 1.5 on average
    y = MinibatchStd(4)(x)
    assert y.shape == (4, 3, 3, 3)
    assert torch.equal(y[:, :2], x)
    assert_close(y[:, 2], torch.full((4, 3, 3), 1.5), rtol=0, atol=1e-3)


def test_a_group_is_consecutive_samples_and_those_left_over_join_the_last():
    x = torch.tensor([0.0, 2, 0, 10, 7])[:, None]
    assert_close(MinibatchStd(2)(x)[:, 1], torch.tensor([1.0, 1, 5, 5, 5]))
    assert torch.equal(MinibatchStd(2)(x)[:2], MinibatchStd(2)(x[:2])), "a process's share has the groups of the whole"
    assert_close(MinibatchStd(4)(x[:1])[:, 1], torch.tensor([1e-4]))  # one sample does not differ from others


def test_the_deviation_can_be_differentiated_twice_even_where_all_samples_are_equal():
    x = torch.ones(4, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(MinibatchStd()(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), x)
    assert slope.isfinite().all()
    assert second.isfinite().all()


def test_discrimination_is_the_mean_nearness_of_the_others_by_hand():
    layer = MinibatchDiscrimination(2, kernels=2, dim=1)
    torch.nn.init.eye_(layer.project.weight)  # kernel i sees feature i
    x = torch.tensor([[0.0, 0], [1, 0], [3, 0]])
    near = torch.tensor([[1.0, 3], [1, 2], [3, 2]]).neg().exp().mean(1)
    assert_close(layer(x), torch.cat([x, near[:, None], torch.ones(3, 1)], 1))


@pytest.mark.parametrize("layer", [MinibatchStd(), MinibatchDiscrimination(8)])
def test_duplicates_are_seen(layer):
    torch.manual_seed(0)
    varied = torch.randn(8, 8)
    alike = varied[:1].expand(8, -1)
    told, of_alike = layer(varied)[0, 8:], layer(alike)[0, 8:]
    assert torch.equal(layer(varied)[0, :8], layer(alike)[0, :8]), "the sample itself is the same"
    assert (told - of_alike).abs().max() > 0.3


@pytest.mark.parametrize("net", [mlp.Discriminator, dcgan.Discriminator])
@pytest.mark.parametrize("mixing", ["none", "std", "discrimination"])
def test_a_discriminator_mixes_only_where_it_is_asked_to(mixing, net):
    torch.manual_seed(0)
    D, x, y = net((1, 8, 8), norms="none", mixing=mixing), torch.randn(8, 1, 8, 8), torch.zeros(8).long()
    alone = torch.cat([D(x[i : i + 1], y[:1]) for i in range(8)])
    assert bool((D(x, y) - alone).abs().max() < 1e-5) == (mixing == "none")


def test_without_a_layer_there_is_nothing_to_save():
    layer, features = minibatch("none", 5)
    assert (layer.state_dict(), features) == ({}, 5)
