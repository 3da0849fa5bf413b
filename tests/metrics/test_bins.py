"""Classes and bins: by hand, against scipy, and at equal distributions, where the nulls are known."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from equipoise.errors import DataError
from equipoise.metrics import Bins, binned, class_modes
from equipoise.metrics.modes import deviations, jensen_shannon


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def classes(n, k=10, seed=0):
    return torch.randint(k, (n,), generator=seeded(seed))


CENTRES = 4 * torch.randn(20, 8, generator=seeded(99))


def mixture(n, seed, modes=20):
    return CENTRES[classes(n, modes, seed)] + 0.5 * torch.randn(n, 8, generator=seeded(seed + 1000))


def test_class_modes_by_hand():
    found = class_modes(torch.tensor([0, 0, 0, 0, 1, 1, 3, 3]), 4)
    assert found.covered.value == 3
    assert found.effective.value == pytest.approx(2**1.5)
    assert found.reverse_kl.value == pytest.approx(0.5 * math.log(2))


def test_reverse_kl_against_reals_is_that_of_scipy():
    fake, real = classes(500, 6) ** 2 % 6, classes(800, 6, 1)
    q, p = (torch.bincount(x, minlength=6).double().numpy() for x in (fake, real))
    found = class_modes(fake, 6, real).reverse_kl
    assert found.value == pytest.approx(entropy(q, p))
    assert found.n_real == 800


def test_equal_distributions_have_the_divergence_of_their_counts():
    found = [class_modes(classes(500, seed=2 * s), 10, classes(800, seed=2 * s + 1), groups=0) for s in range(300)]
    null = 9 / 2 * (1 / 500 + 1 / 800)
    assert sum(f.reverse_kl.value for f in found) / 300 == pytest.approx(null, rel=0.15)


@pytest.mark.parametrize(
    ("fake", "count", "real", "words"),
    [
        (classes(50), 1, None, "at least 2 classes"),
        (classes(50), 5, None, "outside 0 to 4"),
        (classes(50), 10, classes(50, 9), "never have class 9, one of 1"),
        (classes(1), 10, None, "at least 2 samples"),
    ],
)
def test_what_cannot_be_counted(fake, count, real, words):
    with pytest.raises(DataError, match=words):
        class_modes(fake, count, real)


def test_jensen_shannon_is_that_of_scipy():
    p, q = (torch.rand(7, generator=seeded(s)).double() for s in (0, 1))
    p, q = p / p.sum(), q / q.sum()
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p.numpy(), q.numpy()) ** 2)
    ends = torch.eye(2, dtype=torch.float64)
    assert jensen_shannon(ends[0], ends[1]) == pytest.approx(math.log(2))
    assert jensen_shannon(p, p) == pytest.approx(0, abs=1e-15)


def test_deviations_by_hand():
    """60 of 100 against 45 of 100: pooled .525, error .0706."""
    found = deviations(torch.tensor([0.6, 0.0]), torch.tensor([0.45, 0.0]), 100, 100)
    assert found.tolist() == pytest.approx([-0.15 / (0.525 * 0.475 * 0.02) ** 0.5, 0])


def test_bins_find_the_modes():
    bins = Bins.fit(mixture(2000, 0), 20)
    assert torch.cdist(CENTRES.double(), bins.centres).min(1).values.max() < 0.5
    near = torch.cdist(mixture(100, 5).double(), bins.centres).argmin(1)
    assert (bins.assign(mixture(100, 5)) == near).all()


def test_equal_distributions_have_the_nulls_of_ndb_and_jsd():
    bins = Bins.fit(mixture(4000, 0), 20)
    found = [binned(bins, mixture(1500, 2 * s + 1), mixture(1000, 2 * s + 2), groups=0) for s in range(100)]
    assert sum(f.ndb.value for f in found) / 100 == pytest.approx(0.05, abs=0.015)
    assert found[0].jsd_null == pytest.approx(19 / 8 * (1 / 1500 + 1 / 1000))
    assert sum(f.jsd.value for f in found) / 100 == pytest.approx(found[0].jsd_null, rel=0.1)
    assert sum(len(f.missing) for f in found) == 0


def test_missing_modes_are_missing_bins():
    bins = Bins.fit(mixture(4000, 0), 20)
    found = binned(bins, mixture(2000, 1), mixture(2000, 2, modes=15))
    lost = bins.assign(CENTRES[15:])
    assert set(found.missing.tolist()) == set(lost.tolist())
    assert found.jsd.value > 10 * found.jsd_null
    assert found.jsd.low > found.jsd_null
    assert found.ndb.value > 0.5
    assert found.fake.sum() == pytest.approx(1)


def test_samples_too_few_for_the_bins():
    with pytest.raises(DataError, match="at least 500 samples; 'real' has 400"):
        Bins.fit(mixture(400, 0))
    bins = Bins.fit(mixture(2000, 0), 20)
    with pytest.raises(DataError, match="at least 100 samples; 'fake' has 99"):
        binned(bins, mixture(300, 1), mixture(99, 2))
