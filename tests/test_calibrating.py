"""Planted defects are what they are called, and the power that is measured on them is real."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from equipoise import calibrating
from equipoise.calibrating import (
    COPIES,
    DEFECTS,
    DIFFERENT,
    GREY_LEVELS,
    KEPT,
    Pool,
    blurred,
    calibrated,
    drawn,
    dropped,
    imbalanced,
    jittered,
    noisy,
    nothing,
    shrunk,
)
from equipoise.diagnosis.calibration import RATE
from equipoise.diagnosis.signs import OF_SAMPLES, OF_WORDING
from equipoise.probes.samples import Ground, Placed, Yardstick

N, SIZE = 120, 1200
BLURRED, NOISY, TRAINING = 10_000, 20_000, 30_000  # names of samples start here; a clean one is called by its place


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def named_pool(modes=20, size=SIZE, cells=10):
    """Samples whose only feature is their name. Each mode has equally many."""

    def placed(start, count=size):
        name = torch.arange(count)
        off = torch.rand(count, generator=rng(1), dtype=torch.float64)
        return Placed((start + name)[:, None].double(), torch.ones(count).double(), name % cells, off)

    return Pool(placed(0), placed(BLURRED), placed(NOISY), torch.arange(size) % modes, placed(TRAINING, 500))


def names(placed):
    return placed.features[:, 0].long()


def modes_of(pool, placed):
    """How many samples of each mode."""
    clean = names(placed) % 10_000
    return torch.bincount(pool.modes[clean], minlength=int(pool.modes.max()) + 1)


# -- drawing


@pytest.mark.parametrize("seed", range(10))
def test_drawing_never_repeats_and_never_takes_what_weighs_nothing(seed):
    weights = (torch.arange(100) % 2) * torch.rand(100, generator=rng(99))
    for n in (1, 30, 50):
        places = drawn(n, weights, rng(seed))
        assert len(places) == len(torch.unique(places)) == n
        assert (places % 2 == 1).all()


def test_drawing_is_in_proportion_to_the_weights():
    """The first of a draw without replacement has exactly this chance; the second's is a sum over the first."""
    weights = torch.tensor([1.0, 2, 3, 4])
    draws = torch.stack([drawn(2, weights, rng(seed)) for seed in range(4000)])
    p = weights / weights.sum()
    expected = p + torch.stack([sum(p[j] * p[i] / (1 - p[j]) for j in range(4) if j != i) for i in range(4)])
    assert torch.bincount(draws.flatten(), minlength=4) / 4000 == pytest.approx(expected.numpy(), abs=0.03)


def test_where_too_few_weigh_anything_these_are_taken_again():
    places = drawn(10, torch.tensor([0.0, 1, 0, 1, 1]), rng())
    assert torch.bincount(places, minlength=5).sort().values.tolist() == [0, 0, 3, 3, 4]
    assert not torch.isin(places, torch.tensor([0, 2])).any()


# -- the defects


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_gives_as_many_samples_as_it_is_asked_for(name):
    pool = named_pool()
    for n in (20, 33, N):
        assert len(DEFECTS[name](pool, n, rng())) == n


@pytest.mark.parametrize("name", DEFECTS)
def test_the_same_seed_gives_the_same_defect(name):
    pool = named_pool()
    first, again, other = (names(DEFECTS[name](pool, N, rng(seed))).tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_nothing_is_clean_samples():
    found = names(nothing(named_pool(), N, rng()))
    assert len(torch.unique(found)) == N
    assert found.max() < SIZE


@pytest.mark.parametrize(
    ("name", "modes", "gone"),
    [("drop 5%", 20, 1), ("drop 10%", 20, 2), ("drop 25%", 20, 5), ("drop 50%", 20, 10), ("drop 25%", 8, 2),
     ("drop 50%", 2, 1), ("drop 25% + noise", 20, 5), ("drop 25% + copies", 20, 5)],
)  # fmt: skip
def test_modes_are_missing_exactly(name, modes, gone):
    pool, n = named_pool(modes), 400
    for seed in range(5):
        found = DEFECTS[name](pool, n, rng(seed))
        if "copies" in name:
            found = found.at((names(found) < TRAINING).nonzero().flatten())
        counts = modes_of(pool, found)
        assert (counts == 0).sum() == gone
        assert len(torch.unique(names(found))) == len(found), "none is there twice"


def test_other_modes_go_missing_each_time():
    pool = named_pool()
    gone = {
        tuple(modes_of(pool, dropped(0.25)(pool, N, rng(seed))).eq(0).nonzero().flatten().tolist()) for seed in range(9)
    }
    assert len(gone) == 9


def test_a_part_of_a_mode_goes_missing():
    """5% of 10 modes is half of one: the others have 120 in 114 of their share, and it has 60."""
    pool = named_pool(modes=10)
    counts = (
        sum(modes_of(pool, DEFECTS["drop 5%"](pool, N, rng(seed))).sort().values.double() for seed in range(50)) / 50
    )
    expected = N * 0.5 / 9.5
    assert counts[0] == pytest.approx(expected, rel=0.15)
    assert counts.sum() == N


def test_all_modes_but_the_rare_ones_may_go_missing():
    """Where the large one of two modes is dropped, only the small one is drawn, though it has too few."""
    pool = named_pool()
    pool = Pool(pool.clean, pool.blurred, pool.noisy, (torch.arange(SIZE) < SIZE // 20).long(), pool.training)
    counts = [modes_of(pool, DEFECTS["drop 50%"](pool, N, rng(seed))).tolist() for seed in range(8)]
    assert {tuple(each) for each in counts} == {(0, N), (N, 0)}


def test_the_imbalance_is_that_of_zipf():
    pool = named_pool(modes=5, size=6000)
    counts = sum(modes_of(pool, imbalanced(pool, N, rng(seed))).sort(descending=True).values for seed in range(60)) / 60
    expected = torch.arange(1, 6).double().rsqrt()
    assert counts / N == pytest.approx((expected / expected.sum()).numpy(), abs=0.03)


def test_only_the_nearest_to_the_middle_of_their_cell_are_kept():
    pool = named_pool()
    places = names(shrunk(pool, N, rng()))
    assert len(torch.unique(places)) == N
    for cell in range(10):
        off = pool.clean.off[pool.clean.bin == cell].sort().values
        kept = pool.clean.off[places[pool.clean.bin[places] == cell]]
        assert (kept < off[int(KEPT * len(off))]).all()
    every = names(shrunk(pool, round(KEPT * SIZE), rng()))
    assert len(torch.unique(every)) == KEPT * SIZE, "and all of these"


def test_duplicates_are_of_a_quarter_of_the_samples():
    for seed in range(5):
        found = names(DEFECTS["duplicates"](named_pool(), N, rng(seed)))
        different = len(torch.unique(found))
        assert DIFFERENT * N * 0.85 < different <= DIFFERENT * N
        assert found.max() < SIZE


@pytest.mark.parametrize("name", ["copies", "drop 25% + copies"])
@pytest.mark.parametrize("n", [20, 33, N])
def test_the_share_of_copies(name, n):
    found = DEFECTS[name](named_pool(), n, rng())
    assert (names(found) >= TRAINING).sum() == round(COPIES * n)
    assert (names(found) < SIZE).sum() == n - round(COPIES * n)


def test_blurred_and_noisy_samples_are_of_the_pool():
    pool = named_pool()
    for name, start in (("blur", BLURRED), ("noise", NOISY), ("drop 25% + noise", NOISY)):
        found = names(DEFECTS[name](pool, N, rng()))
        assert ((found >= start) & (found < start + SIZE)).all()
        assert len(torch.unique(found)) == N


def test_every_defect_that_a_signal_is_there_for_is_planted():
    assert {defect for sign in OF_SAMPLES.values() for defect in sign.sees} <= set(DEFECTS)


# -- worse images


def test_the_blur_is_binomial():
    x = torch.randint(256, (3, 2, 6, 7), generator=rng(), dtype=torch.uint8)
    row = torch.tensor([1.0, 2, 1]) / 4
    of_rows = conv2d(x.float().view(6, 1, 6, 7), row.view(1, 1, 1, 3), padding=(0, 1))
    expected = conv2d(of_rows, row.view(1, 1, 3, 1), padding=(1, 0)).view(x.shape)
    found = blurred(x)
    assert (found.dtype, found.shape) == (torch.uint8, x.shape)
    assert (found.float() - expected).abs().max() <= 0.5
    flat = torch.full((1, 1, 5, 5), 200, dtype=torch.uint8)
    assert (blurred(flat)[..., 1:-1, 1:-1] == 200).all()


def test_the_noise_is_normal_and_the_same_each_time():
    x = torch.full((50, 1, 16, 16), 128, dtype=torch.uint8)
    found = noisy(x)
    assert found.dtype == torch.uint8
    assert torch.equal(found, noisy(x))
    assert float(found.double().mean()) == pytest.approx(128, abs=1)
    assert float(found.double().std()) == pytest.approx(GREY_LEVELS, rel=0.03)
    assert noisy(torch.full((9, 1, 9, 9), 255, dtype=torch.uint8)).max() == 255, "clamped, and not wrapped around"


def test_points_are_moved_by_half_the_way_to_their_nearest():
    x = 7 * torch.randn(400, 3, generator=rng())
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).amin(1).median()
    moved = jittered(x) - x
    assert float(moved.std()) == pytest.approx(float(near) / 2, rel=0.06)
    assert torch.equal(jittered(x), jittered(x))


# -- power


D, MODES = 8, 20
CENTRES = 4 * torch.randn(MODES, D, generator=rng(99))
LOOK = 200


def mixture(n, seed, noise=1.0):
    g = rng(seed)
    mode = torch.randint(MODES, (n,), generator=g)
    return CENTRES[mode] + noise * torch.randn(n, D, generator=g), mode


@pytest.fixture(scope="module")
def planted():
    """Reals of a mixture whose modes are known, and what takes the place of fakes."""
    ground = Ground.of(mixture(1500, 0)[0], LOOK)
    (real, real_mode), (spare, mode), (training, _) = mixture(LOOK, 1), mixture(1200, 2), (ground.train, None)
    worse = jittered(spare)
    pool = Pool(
        ground.place(spare, mode), ground.place(worse, mode), ground.place(worse, mode), mode,
        ground.place(training, mixture(1500, 0)[1]),
    )  # fmt: skip
    return Yardstick(ground.place(real, real_mode), len(ground.bins.centres), MODES), pool


def test_the_same_seed_gives_the_same_calibration(planted):
    first, again = (calibrated(*planted, "given", trials=2, nulls=9, others=3) for _ in range(2))
    assert first == again
    assert (first.n, first.features, first.trials) == (LOOK, "given", 2)
    assert set(first.power) == set(DEFECTS)
    assert set(first.nulls) == OF_SAMPLES.keys() - OF_WORDING.keys()


def test_half_of_the_modes_are_missed_and_nothing_is_not(planted, monkeypatch):
    monkeypatch.setattr(
        calibrating, "DEFECTS", {name: DEFECTS[name] for name in ("drop 50%", "copies")} | {"none": nothing}
    )
    found = calibrated(*planted, "given", trials=60, nulls=100, others=60)
    for name in ("coverage", "jsd", "missing", "class_jsd"):
        assert found.power["drop 50%"][name] == 1
    assert found.power["copies"]["copy_rate"] == 1
    assert found.power["copies"]["c_t"] > 0.8
    assert found.power["copies"]["class_jsd"] < 0.3
    assert np.mean([found.power["none"][name] for name in found.nulls]) == pytest.approx(RATE, abs=0.04)
    assert np.mean([found.nulls[name].false_alarms for name in found.nulls]) == pytest.approx(RATE, abs=0.04)


def test_what_sees_its_defect_is_armed(planted):
    found = calibrated(*planted, "given", trials=8, nulls=40, others=4)
    assert {"coverage", "jsd", "missing", "class_jsd", "copy_rate", "apart"} <= set(found.armed)
    assert set(found.armed) | set(found.unarmed) == OF_SAMPLES.keys() - OF_WORDING.keys()


def test_a_signal_that_is_blind_is_not_armed(planted):
    """Modes that the features do not show may go missing unseen."""
    yardstick, pool = planted
    unseen = Pool(pool.clean, pool.blurred, pool.noisy, torch.arange(len(pool)) % MODES, pool.training)
    found = calibrated(yardstick, unseen, "given", trials=8, nulls=40, others=4)
    assert not {"coverage", "jsd", "missing", "class_jsd", "vendi", "rank"} & set(found.armed)
    assert "apart" in found.armed, "duplicates are what they were"
    assert found.unarmed["coverage"].startswith("sees 'drop 25%' in ")


def test_the_work_is_tracked(planted):
    told = []

    def track(items, what, total):
        told.append((what, total))
        return items

    calibrated(*planted, "given", trials=1, nulls=3, others=2, track=track)
    assert told == [("calibrating the guardian", 2 + len(DEFECTS))]
