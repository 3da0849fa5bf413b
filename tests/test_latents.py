from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from equipoise import latents
from equipoise.errors import ConfigError, StorageError
from equipoise.latents import Codes, Latents, Styles, arc, pulled_in, space_of

PLAIN = [("digits", (1, 8, 8)), ("dcgan", (3, 16, 16)), ("r3gan-xs", (3, 16, 16))]


@pytest.mark.parametrize("limit", [0.5, 1.0, 2.0])
def test_a_truncated_normal_has_the_variance_of_the_closed_form(limit):
    z = pulled_in(torch.randn(200_000, generator=torch.Generator().manual_seed(0)), limit)
    assert z.abs().max() <= limit
    density = math.exp(-(limit**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * limit * density / math.erf(limit / math.sqrt(2))  # Johnson et al. 1994, section 13.10.1
    assert z.var().item() == pytest.approx(variance, rel=0.01)
    assert z.mean().abs() < 0.01


def test_far_limits_change_nothing_and_order_is_kept():
    z = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert_close(pulled_in(z, 9.0), z, atol=1e-5, rtol=0)
    assert torch.equal(pulled_in(z, 0.7).argsort(), z.argsort())


def test_an_arc_keeps_the_length_and_goes_at_a_constant_angle():
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    for t in (0.0, 0.25, 0.5, 1.0):
        angle = t * math.pi / 2
        assert_close(arc(a, b, t), 3 * torch.tensor([[math.cos(angle), math.sin(angle)]]), atol=1e-5, rtol=0)
    assert_close(arc(a, a, 0.3), a)
    assert_close(arc(a, 2 * a, 0.5), 1.5 * a)


@pytest.mark.parametrize(("name", "shape"), PLAIN)
def test_truncation_shrinks_the_spread_of_samples(name, shape, untrained):
    trained = untrained(name, shape=shape)
    assert isinstance(trained.space, Latents)
    spread = [trained.space.samples(trained.codes(64, 0, truncation=psi)).std(0).mean() for psi in (None, 1.0, 0.3)]
    assert spread[0] > 1.2 * spread[1] > 1.44 * spread[2]


def test_truncation_of_styles_goes_to_their_mean(styled):
    assert isinstance(styled.space, Styles)
    whole, half, none = (styled.codes(20, 3, truncation=psi).at for psi in (1.0, 0.5, 0.0))
    assert_close(whole, styled.codes(20, 3).at)
    assert_close(none, styled.G.w_mean.expand(20, 1, -1))
    assert_close(half, (whole + none) / 2)


def test_samples_of_codes_are_the_generator_s(styled, untrained):
    for trained in (styled, untrained("digits")):
        z, y = trained.latents(5, 0)[:7], torch.zeros(7, dtype=torch.long)
        assert_close(trained.space.samples(trained.codes(7, 5)), trained.G(z, y))


@pytest.mark.parametrize("psi", [0.0, -1.0])
def test_a_limit_that_leaves_nothing_is_refused(psi, untrained):
    with pytest.raises(ConfigError, match="leaves no latents"):
        untrained("digits").sample(4, truncation=psi)


def test_points_are_not_truncated(untrained):
    with pytest.raises(ConfigError, match="truncation is for pictures"):
        untrained("ring", shape=(2,)).sample(4, truncation=0.7)


def test_codes_come_back_from_their_file(tmp_path, styled, untrained):
    for i, trained in enumerate((styled, untrained("digits", "nets.conditioning=projection", classes=3))):
        codes = trained.codes(5, 2)
        latents.save(codes, trained.space, tmp_path / f"{i}.npz")
        again = trained.kept_codes(tmp_path / f"{i}.npz")
        assert torch.equal(again.at, codes.at)
        assert torch.equal(again.y, codes.y)


def test_codes_of_another_generator_are_refused(tmp_path, styled, untrained):
    other = untrained("digits")
    latents.save(styled.codes(2), styled.space, tmp_path / "w.npz")
    with pytest.raises(ConfigError, match="z of 8 numbers"):
        other.kept_codes(tmp_path / "w.npz")
    latents.save(Codes(other.codes(2).at, torch.tensor([0, 7])), other.space, tmp_path / "z.npz")
    with pytest.raises(ConfigError, match="does not have"):
        other.kept_codes(tmp_path / "z.npz")
    np.savez(tmp_path / "objects.npz", z=np.array([None]), allow_pickle=True)
    (tmp_path / "noise.npz").write_bytes(b"noise")
    for name in ("objects.npz", "noise.npz", "missing.npz"):
        with pytest.raises(StorageError, match=r"no \.npz of latents|cannot be read"):
            other.kept_codes(tmp_path / name)


@pytest.mark.parametrize(
    "spoiled",
    [{"y": np.zeros(())}, {"y": np.zeros((2, 1), int)}, {"y": np.array(["a", "b"])}, {"z": np.full((2, 8), np.nan)},
     {"z": np.array([["a"] * 8] * 2)}, {"z": np.zeros((0, 8)), "y": np.zeros(0, int)}, {"z": np.zeros((2, 1, 8))}],
    ids=str,
)  # fmt: skip
def test_codes_that_are_no_numbers_of_that_shape_are_refused(spoiled, tmp_path, untrained):
    np.savez(tmp_path / "z.npz", **({"z": np.zeros((2, 8), np.float32), "y": np.zeros(2, int)} | spoiled))
    with pytest.raises(ConfigError, match="holds no latents of this generator"):
        untrained("digits").kept_codes(tmp_path / "z.npz")


def test_styles_are_found_by_their_interface(styled, untrained):
    assert isinstance(space_of(styled.G), Styles)
    assert isinstance(space_of(untrained("digits").G), Latents)
