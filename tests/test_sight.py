"""The eyes of the guardian: they are calibrated once, look alike each time, and say where they cannot see."""

import functools
import json
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from equipoise import sight
from equipoise.calibrating import calibrated, jittered
from equipoise.data.source import InMemory
from equipoise.diagnosis.calibration import Calibration
from equipoise.encoders.cache import Cache
from equipoise.encoders.encoder import Look
from equipoise.encoders.given import Given
from equipoise.encoders.pixels import Pixels
from equipoise.errors import DataError
from equipoise.probes.samples import Ground
from equipoise.sight import TooFew, eyes_for, mixed, opened

D, MODES, N = 4, 6, 40
CENTRES = 5 * torch.randn(MODES, D, generator=torch.Generator().manual_seed(99))


def mixture(n, seed, modes=MODES):
    g = torch.Generator().manual_seed(seed)
    mode = torch.randint(modes, (n,), generator=g)
    return CENTRES[mode] + torch.randn(n, D, generator=g), mode


def points(n, seed, labelled=True):
    x, mode = mixture(n, seed)
    return InMemory(x, mode, MODES) if labelled else InMemory(x)


def images(n, seed):
    g = torch.Generator().manual_seed(seed)
    mode = torch.randint(3, (n, 1, 1, 1), generator=g)
    return (60 * mode + torch.randint(60, (n, 1, 4, 4), generator=g)).to(torch.uint8)


class Classifier:
    """Points as they are, and the centre that each is nearest to."""

    def __init__(self):
        self.protocol = {"name": "classifier", "classes": MODES}

    def look(self, x):
        return Look(x.float(), -torch.cdist(x.float(), CENTRES))


@pytest.fixture
def calibrations(monkeypatch):
    """What every calibration was given; short ones."""
    given = []

    def noted(yardstick, pool, *rest, **more):
        given.append((yardstick, pool))
        return functools.partial(calibrated, nulls=10, others=4)(yardstick, pool, *rest, **more)

    monkeypatch.setattr(sight, "calibrated", noted)
    return given


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


def look(cache, n=N, encoder=None, train=None, held_out=None, trials=1):
    train = points(200, 0) if train is None else train
    held_out = points(200, 1) if held_out is None else held_out
    return opened(encoder or Given(D), train, held_out, n, cache, trials=trials)


def test_a_calibration_is_remembered(calibrations, cache):
    first, second = look(cache), look(cache)
    assert len(calibrations) == 1
    assert first.calibration == second.calibration
    assert json.dumps(first.calibration.to_json()) == json.dumps(second.calibration.to_json())
    fake = mixture(N, 5)[0]
    assert first.see(fake) == second.see(fake)


@pytest.mark.parametrize(
    "changed",
    [
        {"n": N + 1},
        {"trials": 2},
        {"train": points(200, 7)},
        {"train": points(201, 0)},
        {"train": points(200, 0, labelled=False)},
        {"held_out": points(200, 7)},
        {"encoder": Classifier()},
    ],
    ids=lambda changed: " ".join(changed),
)
def test_what_a_calibration_depends_on_calibrates_anew(calibrations, cache, changed):
    before = look(cache)
    after = look(cache, **changed)
    assert len(calibrations) == 2
    assert after.calibration != before.calibration or "train" in changed
    look(cache, **changed)
    assert len(calibrations) == 2


def test_what_is_planted_otherwise_calibrates_anew(calibrations, cache, monkeypatch):
    look(cache)
    monkeypatch.setattr(sight, "VERSION", sight.VERSION + 1)
    look(cache)
    assert len(calibrations) == 2


def test_a_folder_that_remembers_nothing_gives_the_same_eyes(calibrations, cache, tmp_path):
    (tmp_path / "file").write_text("in the way")
    forgetful = Cache(tmp_path / "file" / "below")
    assert look(forgetful).calibration == look(forgetful).calibration == look(cache).calibration
    assert len(calibrations) == 3


@pytest.mark.parametrize(("train", "held_out"), [(59, 200), (200, 19), (60, 0), (0, 0)])
def test_too_few_samples_are_refused_in_words(train, held_out, cache):
    with pytest.raises(TooFew, match="from 60 and 20 of them on") as refused:
        look(cache, train=points(train, 0), held_out=points(held_out, 1))
    assert f"{train} training and {held_out} held-out" in str(refused.value)
    assert isinstance(refused.value, DataError)


def test_nothing_is_learnt_from_too_few_samples(monkeypatch):
    monkeypatch.setattr(sight, "encoder_for", lambda *rest: pytest.fail("it learnt"))
    told: list[str] = []
    assert eyes_for(points(59, 0), points(100, 1), "auto", 1000, warn=told.append) is None
    assert told[0].startswith("59 training and 100 held-out samples are too few")


def test_a_look_at_too_few_is_refused(cache):
    with pytest.raises(TooFew):
        look(cache, n=19)


def test_the_least_that_can_be_watched(calibrations, cache):
    eyes = look(cache, n=1000, train=points(60, 0), held_out=points(20, 1))
    assert eyes.n == eyes.calibration.n == 20
    signals, shares = eyes.see(mixture(20, 5)[0])
    assert all(torch.isfinite(torch.tensor(value)) for value in signals.values())
    assert len(shares) == 2


def test_other_held_out_samples_take_the_place_of_fakes(calibrations, cache):
    eyes = look(cache, held_out=points(N + 3 * N, 1))
    ((yardstick, pool),) = calibrations
    assert len(pool) == 3 * N
    whole = torch.cat([yardstick.real.features, pool.clean.features])
    assert_close(whole.sort(0).values, mixture(4 * N, 1)[0].sort(0).values)  # each is a real or stands in, never both
    assert eyes.n == N


def test_looks_are_at_no_more_than_somebody_can_stand_in_for(cache):
    eyes = opened(Given(2), InMemory(torch.randn(60, 2)), InMemory(torch.randn(1000, 2)), 1000, cache)
    assert eyes.n == 250  # and three times as many in place of fakes
    eyes = opened(Given(2), InMemory(torch.randn(90, 2)), InMemory(torch.randn(40, 2)), 1000, cache)
    assert eyes.n == 30  # a third of the training samples


def test_where_few_reals_are_held_out_training_samples_stand_in(calibrations, cache):
    train = points(300, 0)
    eyes = look(cache, train=train, held_out=points(N + 3 * N - 1, 1))
    ((_, pool),) = calibrations
    assert_close(pool.clean.features.sort(0).values, train.x.sort(0).values)
    x = pool.clean.features
    assert_close(
        pool.clean.near, torch.cdist(x, x).fill_diagonal_(torch.inf).amin(1).double(), atol=1e-3, rtol=1e-3
    )  # each against the others: a stand-in is no copy of itself
    assert (pool.training.near == 0).all(), "but a copy is"
    assert eyes.calibration.nulls["copy_rate"].mean == pytest.approx(0.05, abs=0.1)  # of 40 reals, two
    assert eyes.calibration.power["copies"]["copy_rate"] == 1


def test_stand_ins_are_the_same_samples_clean_and_worse(calibrations, cache):
    look(cache, held_out=points(N, 1))
    look(cache)
    for _, pool in calibrations:
        assert_close(pool.blurred.features, jittered(pool.clean.features))
        near = torch.cdist(pool.noisy.features, pool.clean.features)
        assert float((near.argmin(1) == torch.arange(len(pool))).double().mean()) > 0.5


def test_modes_are_classes_or_else_cells(calibrations, cache):
    look(cache)
    look(cache, held_out=points(200, 1, labelled=False))
    (_, of_classes), (_, of_cells) = calibrations
    nearest = torch.cdist(of_classes.clean.features, CENTRES).argmin(1)
    assert (of_classes.modes == nearest).double().mean() > 0.95
    assert len(torch.unique(of_cells.modes)) == len(torch.unique(of_cells.clean.bin))
    assert len(torch.unique(of_cells.modes * 100 + of_cells.clean.bin)) == len(torch.unique(of_cells.modes))


def test_classes_that_are_never_held_out_cannot_go_missing(calibrations, cache):
    x, mode = mixture(200, 1)
    look(cache, held_out=InMemory(x, 100 * mode, 600))
    ((_, pool),) = calibrations
    assert torch.unique(pool.modes).tolist() == list(range(MODES))


def test_sets_in_the_order_of_their_classes_are_mixed(calibrations, cache):
    x, mode = mixture(400, 1)
    order = mode.argsort()
    look(cache, held_out=InMemory(x[order], mode[order], MODES))
    ((yardstick, _),) = calibrations
    modes = torch.bincount(torch.cdist(yardstick.real.features, CENTRES).argmin(1), minlength=MODES)
    assert (modes > 0).all()


def test_mixing_takes_each_at_most_once_and_the_same_each_time():
    source = InMemory(torch.arange(100.0)[:, None])
    found = sight.everything(mixed(source, 30))[0].flatten()
    assert len(torch.unique(found)) == 30
    assert torch.equal(found, sight.everything(mixed(source, 30))[0].flatten())
    assert sight.everything(mixed(source, 1000))[0].flatten().sort().values.tolist() == list(range(100))


def test_at_most_so_many_training_samples_are_looked_at(calibrations, cache, monkeypatch):
    monkeypatch.setattr(sight, "LEARNED", 70)
    monkeypatch.setattr(sight, "MOST_SPARE", 50)
    eyes = look(cache, held_out=points(400, 1))
    assert len(eyes.ground.train) == 70
    ((_, pool),) = calibrations
    assert 3 * N <= len(pool) <= 4 * N, "but never too few for the defects"


def test_eyes_that_look_twice_see_the_same(calibrations, cache):
    eyes = look(cache)
    fake = mixture(N, 5)[0]
    (signals, shares), again = eyes.see(fake), eyes.see(fake)
    assert (signals, shares) == again
    assert sum(shares) == pytest.approx(1)
    assert len(shares) == len(eyes.ground.bins.centres)
    assert torch.equal(eyes.place(fake).features, fake)


def test_the_classes_of_an_encoder_are_a_signal(calibrations, cache):
    eyes = look(cache, encoder=Classifier())
    assert eyes.yardstick.classes == MODES
    whole, half = (eyes.see(mixture(N, 5, modes)[0])[0] for modes in (MODES, MODES // 2))
    assert half["class_jsd"] > whole["class_jsd"] + 0.1
    assert "class_jsd" in eyes.calibration.nulls
    assert "class_jsd" not in look(cache).calibration.nulls


def test_labels_that_are_obeyed_are_told_from_labels_that_are_not(calibrations, cache):
    fake, asked = mixture(N, 5)
    eyes = look(cache, encoder=Classifier())
    assert eyes.see(fake, asked)[0]["obeyed"] == pytest.approx(1, abs=0.05)
    at_random = asked[torch.randperm(N, generator=torch.Generator().manual_seed(0))]
    assert eyes.see(fake, at_random)[0]["obeyed"] == pytest.approx(0, abs=0.25)
    assert "obeyed" not in eyes.see(fake)[0], "no class was asked for"
    assert "obeyed" not in look(cache).see(fake, asked)[0], "an encoder that reads no classes"
    chance = Classifier()
    chance.protocol |= {"accuracy": 1 / MODES}
    assert "obeyed" not in look(cache, encoder=chance).see(fake, asked)[0], "one that cannot read them"


def test_labels_of_two_classes_are_judged_too(calibrations, cache):
    """Chance is one half there, and an encoder that is right in 95% is a good one."""
    good = Classifier()
    good.protocol |= {"accuracy": 0.95}
    eyes = look(cache, encoder=good)
    eyes = replace(eyes, yardstick=replace(eyes.yardstick, classes=2))
    asked = torch.arange(100) % 2
    read = torch.where(torch.arange(100) < 95, asked, 1 - asked)
    assert eyes.obeyed(read, asked)["obeyed"] == pytest.approx(1)
    assert eyes.obeyed(torch.zeros(100), asked)["obeyed"] == pytest.approx(0)


def test_images_are_seen_as_files_would_hold_them(calibrations, cache):
    train, held_out = images(100, 0), images(100, 1)
    eyes = opened(Pixels(), InMemory(train), InMemory(held_out), 20, cache, trials=1)
    fake = images(20, 2)
    assert eyes.see(fake) == eyes.see(fake.float() / 127.5 - 1)
    assert eyes.see(fake / 127.5 - 1 + 0.003) == eyes.see(fake), "less than half a grey level"
    ((_, pool),) = calibrations
    assert len(pool) == 80 and not torch.equal(pool.blurred.features, pool.noisy.features)


def test_half_of_the_data_is_missed_by_real_eyes(cache):
    """Not shortened: limits of 100 looks, and the power that comes with them."""
    eyes = look(cache, n=100, train=points(600, 0), held_out=points(500, 1), trials=10)
    assert isinstance(eyes.calibration, Calibration) and isinstance(eyes.ground, Ground)
    armed = eyes.calibration.armed
    assert {"jsd", "missing", "copy_rate"} <= set(armed)
    half, whole = eyes.see(mixture(100, 5, MODES // 2)[0])[0], eyes.see(mixture(100, 6)[0])[0]
    for name in ("jsd", "missing"):
        assert half[name] > eyes.calibration.nulls[name].limit
        assert whole[name] < half[name]
