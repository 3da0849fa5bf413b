"""What looks on at a run is learnt once, and is then told the length of the run."""

import pytest
import torch

from equipoise import launch, viewpoints
from equipoise.build import splits
from equipoise.controller import HandsOff
from equipoise.data.sides import Unpaired
from equipoise.data.source import Part, Splits
from equipoise.errors import ConfigError
from equipoise.guardian import BURN_IN, Beside, OfGame
from equipoise.judging import Nobody, OfSamples
from equipoise.onlookers import Onlookers

CPU = torch.device("cpu")
WATCHED = ("guardian.mode=watch", "guardian.n=100", "evaluate.n=100", "evaluate.metrics=[fd]")


@pytest.fixture
def made(tiny):
    """Onlookers of a tiny run with some settings."""

    def make(*settings, **named):
        config = tiny("digits", *WATCHED, *settings)
        return Onlookers(config, splits(config.data), CPU, **named)

    return make


def test_a_run_learns_once(tiny, run_path, monkeypatch):
    """Once to know how long a look takes, and in the run itself: that is one learning, not two."""
    learnt: list[str] = []
    for name in ("encoder_for", "eyes_for"):
        real = getattr(viewpoints, name)
        monkeypatch.setattr(viewpoints, name, lambda *a, real=real, name=name: learnt.append(name) or real(*a))
    launch.start(tiny("digits", *WATCHED), run_path)
    assert learnt == ["encoder_for", "eyes_for"], "the judge's encoder, the guardian's eyes"


def test_features_without_a_meaning_are_refused_before_anything_is_learnt(tiny, run_path, monkeypatch):
    monkeypatch.setattr(viewpoints, "encoder_for", lambda *rest: pytest.fail("it learnt"))
    for key in ("evaluate.features", "guardian.features"):
        with pytest.raises(ConfigError, match="unknown features 'clasifier'"):
            launch.start(tiny("digits", *WATCHED, f"{key}=clasifier"), run_path)
    assert not run_path.exists()


@pytest.mark.parametrize(("metrics", "kept"), [("[fd]", False), ("[fd,swd]", True)])
def test_the_judge_keeps_no_pictures_that_no_figure_asks_for(made, metrics, kept):
    against = made(f"evaluate.metrics={metrics}").judge(1.0).validation.against
    assert (against.real.pixels is not None) == kept
    assert against.train.pixels is None
    assert len(against.real) == 100


def test_each_is_told_the_length_of_the_run_and_has_seen_nothing_of_it(made):
    looking_on = made()
    judges = [looking_on.judge(patience) for patience in (0.5, 2.0)]
    assert [judge.patience for judge in judges] == [500, 2000]
    assert judges[0].validation is judges[1].validation
    first, second = looking_on.guardian(images=1000), looking_on.guardian(images=3000)
    assert (first.watch.burn_in, second.watch.burn_in) == (BURN_IN * 1000, BURN_IN * 3000)
    assert first.eyes is second.eyes
    first.watch.add(10, {"coverage": 0.5})
    assert not second.watch.history


def test_who_looks_on(made):
    assert isinstance(made().judge(1), OfSamples)
    assert isinstance(made().guardian(1), OfGame)
    assert isinstance(made("evaluate.metrics=[]").judge(1), Nobody)
    assert type(made("guardian.mode=off").guardian(1)) is HandsOff
    beside = made(lead=False)
    assert isinstance(beside.judge(1), Nobody)
    assert isinstance(beside.guardian(1), Beside)


def test_only_of_a_conditional_game_labels_are_asked_for(made):
    """Real digits in the place of fakes: of the classes that were asked for, and of any."""
    watching = made("nets.conditioning=projection", "guardian.features=classifier").guardian(1)
    x, y = made().data.test.take(torch.arange(100))
    eyes = watching.eyes
    assert eyes.see(x, y)[0]["obeyed"] > 0.8
    assert eyes.see(x, y.roll(1))[0]["obeyed"] < 0.3
    assert torch.equal(watching.asked, watching.y)
    assert watching.asked.unique().tolist() == list(range(10))
    assert made().guardian(1).asked is None


def test_where_it_may_mend_a_run_it_knows_what_remedies_need(made):
    watching, mending, beside = made(), made("guardian.mode=on"), made("guardian.mode=on", lead=False)
    assert watching.guardian(1000).treatment is None
    assert watching.bins() == beside.bins() == {}
    treatment = mending.guardian(1000).treatment
    assert treatment.images == 1000
    assert sum(treatment.setting.shares) == pytest.approx(1)
    assert treatment.setting.images
    assert not treatment.setting.batch_norm
    assert mending.guardian(1).state_dict().keys() == beside.guardian(1).state_dict().keys()


def test_who_is_told_to_mend_knows_the_same_as_from_the_start(made):
    asked, begun = made(), made("guardian.mode=on").guardian(1000).treatment
    watching = asked.guardian(1000)
    asked.mending(watching, 1000, processes=1)
    treatment = watching.treatment
    assert (treatment.setting, treatment.ladder, treatment.images) == (begun.setting, begun.ladder, begun.images)
    asked.mending(watching, 1000, processes=1)
    assert watching.treatment is treatment, "it mends already"


def test_what_is_refused_from_the_start_is_refused_later(made):
    """Its first remedy would break pairs."""
    mixing = made("nets.minibatch=discrimination", "knobs.loss=nonsaturating", "knobs.r1=0", "knobs.r2=0")
    with pytest.raises(ConfigError, match="relativistic pairing"):
        mixing.mending(mixing.guardian(1000), 1000, processes=1)
    with pytest.raises(ConfigError, match="train with --guardian on"):
        made().mending(made().guardian(1000), 1000, processes=2)


def test_of_several_processes_none_refuses_what_was_so_from_the_start(made):
    for lead in (True, False):
        mending = made("guardian.mode=on", lead=lead)
        controller = mending.guardian(1000)
        state, treatment = controller.state_dict(), getattr(controller, "treatment", None)
        mending.mending(controller, 1000, processes=2)
        assert controller.state_dict() == state
        assert getattr(controller, "treatment", None) is treatment
        assert (treatment is not None) == lead


def test_of_sentences_the_gradients_of_the_game_are_not_held_against_those_of_imitation(made):
    watching = made().there.of_game(1000, turns=500)
    for seen in (100, 400, 600, 700):
        watching.ask = lambda game, bench: {}
        watching.eyes = None
        watching.strip = None
        watching.look(type("Game", (), {"seen": seen})())
    assert [look.turned for look in watching.watch.history] == [False, False, True, False]


def test_the_bins_are_those_of_the_training_samples(made):
    mending = made("guardian.mode=on")
    bins, train = mending.bins(), mending.data.train
    assert sorted(index for members in bins.values() for index in members) == list(range(len(train)))
    rare = min(bins, key=lambda cell: len(bins[cell]))
    x, _ = train.take(torch.tensor(bins[rare]))
    assert set(mending.eyes.place(x).bin.tolist()) == {rare}


def test_of_two_domains_each_picture_is_looked_at_once(tiny):
    """In the whole the smaller goes round: its pictures, translated again and again, would pass for a collapse."""
    config, told = tiny("cut"), []
    whole = splits(config.data)
    few = [Unpaired(Part(part.a, torch.arange(15)), part.b) for part in (whole.validation, whole.test)]
    looking_on = Onlookers(config, Splits(whole.train, *few, given=3), CPU, warn=told.append)
    z, _ = looking_on.there.begins(1000, "watching")
    assert len(z) == len(z.unique(dim=0)) == looking_on.there.most == 15
    assert len(looking_on.there.reals.validation) == len(whole.validation.b) > 20
    assert looking_on.judges
    assert looking_on.there.eyes is None
    assert "15 held-out pictures are too few" in told[-1]


def test_the_spread_of_the_data_is_that_of_pairs(made):
    setting = made("guardian.mode=on").setting()
    x = made().data.train.take(torch.arange(1000))[0].flatten(1).double()
    pairs = torch.cdist(x, x).square()
    assert setting.apart2 == pytest.approx(float(pairs.sum() / (1000 * 999)), rel=0.05)
    assert setting.deviation == pytest.approx((setting.apart2 / 2 / x.shape[1]) ** 0.5)
