from __future__ import annotations

import pytest
import torch

from equipoise.build import Form
from equipoise.errors import ConfigError
from equipoise.uses.inversion import distances, inverted


@pytest.mark.parametrize("which", ["labelled", "styled"])
def test_the_latents_of_a_sample_are_found(which, styled, untrained):
    labelled = untrained("digits", "nets.conditioning=projection", classes=3)
    trained = labelled if which == "labelled" else styled
    targets = trained.space.samples(trained.codes(3, 77)).clamp(-1, 1)
    shares = []
    for target in targets:
        found = inverted(trained, target, seed=1, starts=4, steps=100)
        shares.append(found.distance / found.drawn)
    assert sorted(shares)[1] < 0.1
    assert abs(trained.drawn(found.codes)[0].astype(int) - found.sample).max() == 0
    assert torch.equal(inverted(trained, target, seed=1, starts=4, steps=100).codes.at, found.codes.at)


def test_no_more_samples_are_held_than_their_size_allows(untrained, monkeypatch):
    trained, sizes = untrained("digits", "nets.conditioning=projection", classes=3), []
    target = trained.space.samples(trained.codes(1, 77))[0]
    asked = {"seed": 1, "starts": 4, "steps": 20}
    whole = inverted(trained, target, **asked)
    monkeypatch.setattr(Form, "at_once", 3)
    trained.G.register_forward_pre_hook(lambda net, given: sizes.append(len(given[0])))
    parts = inverted(trained, target, **asked)
    assert max(sizes) == 3
    assert sum(sizes) == 256 + 20 * 4 + 8 + 2  # candidates, descents, both ends of each, the two that are told
    torch.testing.assert_close(parts.codes.at, whole.codes.at, atol=1e-3, rtol=0)
    assert (parts.distance, parts.drawn) == pytest.approx((whole.distance, whole.drawn), rel=1e-2)


def test_what_the_generator_cannot_draw_stays_far(untrained):
    noise = 2 * torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)) - 1
    found = inverted(untrained("digits"), noise, starts=2, steps=50)
    assert found.distance > 40


def test_the_same_seed_as_a_sample_does_not_begin_at_it(untrained):
    trained = untrained("digits")
    target = trained.space.samples(trained.codes(1, 1))[0]
    assert inverted(trained, target, seed=1, starts=1, steps=1).drawn > 1


def test_distances_are_of_what_can_be_seen():
    target = torch.ones(1, 8, 8)
    x = torch.stack([target, 3 * target, -target, 0 * target])
    full, half = 1, 1  # the mean squared difference of constant pictures is the same at each size
    assert distances(x, target).tolist() == [0, 0, 4 * (full + half), full + half]


def test_points_are_refused(untrained):
    with pytest.raises(ConfigError, match="points"):
        inverted(untrained("ring", shape=(2,)), torch.zeros(2))
