"""The signals of samples against the metrics that they are short cuts to, and on fakes whose defect is known."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from equipoise.errors import DataError
from equipoise.metrics import Bins, binned, copy_rate, copying_test, effective_rank, prdc, vendi_score
from equipoise.metrics.modes import jensen_shannon
from equipoise.probes.samples import COPIED, FEWEST, NEIGHBOURS, TO_A_BIN, Ground, Placed, Yardstick, missing, shares

D, MODES, N = 8, 20, 300
CENTRES = 4 * torch.randn(MODES, D, generator=torch.Generator().manual_seed(99))


def mixture(n, seed, modes=MODES, noise=1.0):
    """Features [n, D] and the mode of each."""
    g = torch.Generator().manual_seed(seed)
    mode = torch.randint(modes, (n,), generator=g)
    return CENTRES[mode] + noise * torch.randn(n, D, generator=g), mode


TRAIN, TRAIN_MODES = mixture(3000, 0)
REAL, REAL_MODES = mixture(N, 1)


@pytest.fixture(scope="module")
def ground():
    return Ground.of(TRAIN, N)


@pytest.fixture(scope="module")
def signals(ground):
    def of(fake, classes=None):
        real = ground.place(REAL, None if classes is None else REAL_MODES)
        count = 0 if classes is None else MODES
        return Yardstick(real, len(ground.bins.centres), count).signals(ground.place(fake, classes))

    return of


FAKES = {
    "equal": mixture(N, 2)[0],
    "half of the modes": mixture(N, 3, modes=MODES // 2)[0],
    "spread": mixture(N, 4, noise=2.0)[0],
    "shrunk": mixture(N, 5, noise=0.3)[0],
    "far away": mixture(N, 6)[0] + 30,
    "copies": TRAIN[:N],
}


@pytest.mark.parametrize("kind", FAKES)
def test_the_signals_are_those_of_the_metrics(kind, signals, ground):
    fake = FAKES[kind]
    found = signals(fake)
    of = prdc(REAL, fake, NEIGHBOURS, subsamples=0)
    assert found["precision"] == pytest.approx(of.precision.value)
    assert found["density"] == pytest.approx(of.density.value)
    assert found["coverage"] == pytest.approx(of.coverage.value)
    in_bins = binned(ground.bins, REAL, fake, groups=0)
    assert found["jsd"] == pytest.approx(in_bins.jsd.value)
    assert found["missing"] == pytest.approx(float(in_bins.real[in_bins.missing].sum()))
    assert found["copy_rate"] == pytest.approx(copy_rate(TRAIN, fake, REAL, COPIED, groups=0).value)
    assert found["c_t"] == pytest.approx(copying_test(TRAIN, fake, REAL, groups=0).value)
    assert found["vendi"] == pytest.approx(vendi_score(fake, groups=0).value / vendi_score(REAL, groups=0).value)
    assert found["rank"] == pytest.approx(effective_rank(fake, groups=0).value / effective_rank(REAL, groups=0).value)


@pytest.mark.parametrize("kind", FAKES)
def test_how_far_samples_lie_apart_by_hand(kind, signals, ground):
    fake = FAKES[kind]

    def apart(x):
        distance = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
        return distance.fill_diagonal_(math.inf).amin(1).median()

    def off(x):
        return torch.cdist(x.double(), ground.bins.centres).amin(1).square().mean()

    found = signals(fake)
    assert found["apart"] == pytest.approx(float(apart(fake) / apart(REAL)), rel=1e-4)
    assert found["spread"] == pytest.approx(float(off(fake) / off(REAL)), rel=1e-4)


def test_fakes_of_the_reals_own_distribution_give_the_nulls(signals):
    draws = [signals(*mixture(N, 100 + seed)) for seed in range(12)]
    mean = {name: np.mean([draw[name] for draw in draws]) for name in draws[0]}
    cells = N // TO_A_BIN
    assert mean["coverage"] == pytest.approx(1 - 2**-NEIGHBOURS, abs=0.01)  # Naeem et al. 2020, section 3.3
    assert mean["density"] == pytest.approx(1, abs=0.05)
    assert mean["jsd"] == pytest.approx((cells - 1) * (2 / N) / 8, rel=0.35)
    assert mean["class_jsd"] == pytest.approx((MODES - 1) * (2 / N) / 8, rel=0.35)
    assert mean["missing"] == pytest.approx(0, abs=0.01)
    assert mean["copy_rate"] == pytest.approx(COPIED, abs=0.03)
    assert mean["c_t"] == pytest.approx(0, abs=1.2)
    for name, within in {"vendi": 0.03, "rank": 0.02, "apart": 0.04, "spread": 0.06}.items():
        assert mean[name] == pytest.approx(1, abs=within)


def test_the_reals_themselves_are_perfect(signals):
    found = signals(REAL, REAL_MODES)
    assert found["coverage"] == found["precision"] == 1
    assert found["jsd"] == found["class_jsd"] == pytest.approx(0, abs=1e-12)
    assert (found["missing"], found["c_t"]) == (0, pytest.approx(0))
    assert [found[name] for name in ("vendi", "rank", "apart", "spread")] == [pytest.approx(1)] * 4


def test_one_point_again_and_again(signals):
    found = signals(REAL[:1].repeat(N, 1))
    assert found["apart"] == pytest.approx(0, abs=1e-3)
    assert found["coverage"] < 0.1
    assert found["missing"] > 0.9
    assert found["vendi"] < 0.3
    assert found["rank"] == pytest.approx(0, abs=1e-6)
    assert found["precision"] in (0, 1)


def test_copies_of_the_training_data(signals):
    found = signals(FAKES["copies"])
    assert found["copy_rate"] == 1
    assert found["c_t"] == pytest.approx(-(N / 2) / math.sqrt((2 * N + 1) / 12))  # the least that U can be
    assert found["coverage"] > 0.9 and found["missing"] < 0.05, "nothing else is wrong with them"


def test_fakes_that_stray_are_the_opposite_of_copies(signals):
    found = signals(FAKES["far away"])
    assert found["copy_rate"] == 0
    assert found["c_t"] == pytest.approx((N / 2) / math.sqrt((2 * N + 1) / 12))
    assert found["precision"] == found["coverage"] == found["density"] == 0


def test_modes_that_are_missing_are_seen(signals):
    half = mixture(N, 3, modes=MODES // 2)
    whole, found = signals(*mixture(N, 2)), signals(*half)
    gone = float((REAL_MODES >= MODES // 2).double().mean())
    assert found["missing"] == pytest.approx(gone, abs=0.12)
    assert found["coverage"] == pytest.approx(1 - gone, abs=0.1)
    # of q = 2 p on a half: (log 2) / 2 + 3/2 ... of shares 1/2 and 1: H(3/4, 1/4) - H(1/2) / 2
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) - math.log(2) / 2
    assert found["class_jsd"] == pytest.approx(entropy, abs=0.06)
    assert found["jsd"] == pytest.approx(entropy, abs=0.08)
    assert found["jsd"] > whole["jsd"] + 0.1


def test_worse_samples_and_narrow_ones_are_told_apart(signals):
    whole, spread, shrunk = (signals(FAKES[kind]) for kind in ("equal", "spread", "shrunk"))
    assert spread["precision"] < whole["precision"] - 0.3
    assert spread["spread"] > 2 and spread["apart"] > 1.5
    assert shrunk["spread"] < 0.4 and shrunk["apart"] < 0.5
    assert shrunk["precision"] == 1 and shrunk["density"] > whole["density"]


def test_without_classes_there_is_no_signal_of_them(signals):
    assert "class_jsd" not in signals(FAKES["equal"])
    assert "class_jsd" in signals(*mixture(N, 2))


def test_classes_that_only_fakes_have_count(ground):
    real, fake = ground.place(REAL, torch.zeros(N).long()), ground.place(REAL, torch.ones(N).long())
    assert Yardstick(real, len(ground.bins.centres), 2).signals(fake)["class_jsd"] == pytest.approx(math.log(2))


def test_the_order_of_samples_does_not_matter(signals):
    fake, mode = mixture(N, 2)
    assert signals(fake.flip(0), mode.flip(0)) == pytest.approx(signals(fake, mode))


def test_two_looks_at_the_same_samples_are_the_same(signals):
    assert signals(FAKES["spread"]) == signals(FAKES["spread"])


def test_reals_that_are_all_alike_do_not_break_it(ground):
    real = ground.place(REAL[:1].repeat(N, 1))
    found = Yardstick(real, len(ground.bins.centres), 0).neighbours(FAKES["equal"])
    assert found["apart"] == 0
    assert all(math.isfinite(value) for value in found.values())


# -- where they lie among the training data


def brute(x, y):
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("offset", [0, 300])
def test_samples_are_placed_by_their_nearest(offset):
    ground = Ground.of(TRAIN[:500] + offset, 100)
    placed = ground.place(REAL + offset, REAL_MODES)
    centres = brute(REAL + offset, ground.bins.centres)
    assert_close(placed.near, brute(REAL + offset, ground.train).amin(1), atol=1e-3, rtol=1e-4)
    assert (placed.bin == centres.argmin(1)).all()
    assert_close(placed.off, centres.amin(1).square(), atol=1e-2, rtol=1e-3)
    assert (placed.classes == REAL_MODES).all()
    assert len(placed) == N


@pytest.mark.parametrize("blocks", [2**24, 700])
def test_training_samples_are_placed_by_the_others(blocks, monkeypatch):
    monkeypatch.setattr("equipoise.metrics.neighbours.BLOCK", blocks)
    ground = Ground.of(TRAIN[:200], 100)
    distance = brute(ground.train, ground.train).fill_diagonal_(math.inf)
    assert_close(ground.of_itself(ground.train).near, distance.amin(1), atol=1e-3, rtol=1e-4)

    changed = ground.train + 0.1 * FAKES["equal"][:200]
    distance = brute(changed, ground.train).fill_diagonal_(math.inf)
    placed = ground.of_itself(changed, TRAIN_MODES[:200])
    assert_close(placed.near, distance.amin(1), atol=1e-3, rtol=1e-4)
    assert (placed.bin == ground.place(changed).bin).all()
    assert_close(placed.off, ground.place(changed).off)
    assert (placed.classes == TRAIN_MODES[:200]).all()


def test_a_training_sample_that_is_there_twice_has_itself_as_neighbour():
    ground = Ground.of(torch.cat([TRAIN[:200], TRAIN[7:8]]), 100)
    near = ground.of_itself(ground.train).near
    assert near[7] == pytest.approx(0, abs=1e-3) and near[200] == pytest.approx(0, abs=1e-3)
    assert (near > 0.1).sum() >= 190


def test_parts_of_samples_and_their_sum(ground):
    placed = ground.place(REAL, REAL_MODES)
    places = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    joined = placed.at(places[:100]).joined(placed.at(places[100:]))
    for name in ("features", "near", "bin", "off", "classes"):
        assert (getattr(joined, name) == getattr(placed, name)[places]).all()
    bare = ground.place(REAL)
    assert bare.at(places).classes is None
    assert placed.joined(bare).classes is None and bare.joined(placed).classes is None


@pytest.mark.parametrize(
    ("n", "train", "cells"),
    [(1000, 3000, 100), (300, 3000, 30), (5000, 3000, 100), (300, 200, 20), (FEWEST, FEWEST, 2)],
)
def test_a_cell_is_made_of_ten_samples_or_more(n, train, cells):
    assert len(Ground.of(TRAIN[:train], n).bins.centres) == cells


@pytest.mark.parametrize(("n", "train"), [(FEWEST - 1, 3000), (1000, FEWEST - 1), (0, 0), (1, 1)])
def test_too_few_samples_are_refused(n, train):
    with pytest.raises(DataError, match=f"from {FEWEST} of them on"):
        Ground.of(TRAIN[:train], n)


def test_shares_and_what_is_missing_by_hand():
    assert shares(torch.tensor([0, 2, 2, 1]), 5).tolist() == [0.25, 0.25, 0.5, 0, 0]
    p, q = torch.tensor([0.5, 0.25, 0.25, 0.0]).double(), torch.tensor([0.96, 0.04, 0.0, 0.0]).double()
    assert missing(p, q, 100, 100).tolist() == [False, False, True, False], ".04 is more than a tenth of .25"
    few = torch.tensor([0.98, 0.02]).double(), torch.tensor([1.0, 0.0]).double()
    assert missing(*few, 100, 100).tolist() == [False, False], "two of a hundred may be missing by chance"
    assert missing(*few, 1000, 1000).tolist() == [False, True]
    assert jensen_shannon(p, p) == pytest.approx(0)


def test_what_is_placed_is_never_changed(signals, ground):
    before = TRAIN.clone(), REAL.clone(), FAKES["equal"].clone()
    signals(FAKES["equal"])
    ground.of_itself(TRAIN)
    assert all(map(torch.equal, before, (TRAIN, REAL, FAKES["equal"])))


def test_given_bins_are_used_as_they_are():
    bins = Bins(torch.zeros(1, D).double())
    placed = Ground(TRAIN, bins).place(REAL)
    assert isinstance(placed, Placed)
    assert_close(placed.off, REAL.double().square().sum(1), rtol=1e-4, atol=1e-4)
