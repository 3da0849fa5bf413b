from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from equipoise import build
from equipoise.config import override
from equipoise.data.source import InMemory
from equipoise.errors import ConfigError
from equipoise.knobs import Knobs
from equipoise.recipes import recipe
from equipoise.uses.discriminator import TrainedDiscriminator, company, from_run, judged


class Brightness(nn.Module):
    """Logits are the mean of a picture, and a class more of its own."""

    def forward(self, x, y):
        return x.flatten(1).mean(1) + 10 * y


def known(loss, classes=0, **knobs):
    return TrainedDiscriminator(Brightness(), build.Form((1, 2, 2), classes), Knobs(loss=loss, **knobs))


def pictures(*levels):
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def nobody():
    raise AssertionError("no reals are needed")


@pytest.mark.parametrize("loss", ["minimax", "nonsaturating"])
def test_a_logit_is_one_of_probability(loss):
    found = judged(known(loss), pictures(-1.0, 0.0, 2.0), nobody)
    assert found.meaning == "probability"
    assert_close(found.real, torch.tensor([0.2689414, 0.5, 0.8807971]))


def test_least_squares_answers_with_labels():
    wide = judged(known("least-squares", ls_targets=(-1.0, 1.0, 0.0)), pictures(-1.0, 0.0, 0.5, 3.0), nobody)
    assert_close(wide.real, torch.tensor([0.0, 0.5, 0.75, 1.0]))


@pytest.mark.parametrize("loss", ["wasserstein", "hinge", "relativistic"])
def test_other_losses_give_the_share_of_reals_that_are_less_real(loss):
    reals = InMemory(pictures(1.0, 2.0, 3.0, 4.0))
    found = judged(known(loss), pictures(0.0, 2.5, 9.0), lambda: reals)
    assert found.meaning == "rank"
    assert_close(found.real, torch.tensor([0.0, 0.5, 1.0]))
    assert "4 held-out" in found.told
    assert loss in found.told


def test_a_class_is_the_likeliest_unless_it_is_named():
    D, reals = known("hinge", classes=2), InMemory(pictures(0.5, 0.5), torch.tensor([0, 1]), 2)
    assert_close(judged(D, pictures(1.0), lambda: reals).logits, torch.tensor([11.0]))
    assert_close(judged(D, pictures(1.0), lambda: reals, label=0).logits, torch.tensor([1.0]))
    with pytest.raises(ConfigError, match="classes 0 to 1"):
        judged(D, pictures(1.0), lambda: reals, label=2)
    with pytest.raises(ConfigError, match="no classes"):
        judged(known("hinge"), pictures(1.0), nobody, label=0)
    with pytest.raises(ConfigError, match="held out"):
        judged(D, pictures(1.0), lambda: InMemory(pictures(0.5), torch.tensor([0]), 2), label=1)


def test_no_more_pictures_are_held_than_their_size_allows(monkeypatch):
    D, sizes = known("hinge"), []
    monkeypatch.setattr(build.Form, "at_once", 3)
    D.D.register_forward_pre_hook(lambda net, given: sizes.append(len(given[0])))
    assert D.logits(pictures(*map(float, range(7)))).tolist() == list(range(7))
    assert sizes == [3, 3, 1]


class Company(nn.Module):
    """What D makes of a sample depends on the others of its batch."""

    def forward(self, x, y):
        return x.flatten(1).mean(1) + len(x) * x.std()


def test_a_d_that_compares_is_asked_about_each_picture_in_the_same_company():
    D = TrainedDiscriminator(Company(), build.Form((1, 2, 2), 0), Knobs(loss="hinge"), company=2)
    reals = InMemory(pictures(0.0, 1.0, 2.0, 3.0))
    alone, together = judged(D, pictures(2.5), lambda: reals), judged(D, pictures(-1.0, 2.5), lambda: reals)
    assert alone.logits[0] == together.logits[1] == 2.5 + 3 * torch.tensor([2.5, 0.0, 1.0]).repeat_interleave(4).std()
    assert alone.real.item() == 0.5  # of 2 and 3: those in the company are not asked about


@pytest.mark.parametrize(
    "settings", [["nets.pack=2"], ["nets.minibatch=std"], ["nets.minibatch=discrimination"], ["loss=hinge"]]
)
def test_every_d_can_be_asked_about_one_picture(settings, tiny):
    nets = override(recipe("digits"), [*settings, "loss=nonsaturating", "knobs.r1=0", "knobs.r2=0"]).nets
    _, D = build.networks(nets, build.Form((1, 8, 8), 0), seed=0)
    asked = TrainedDiscriminator(D.eval(), build.Form((1, 8, 8), 0), Knobs(loss="hinge"), company(nets))
    reals = InMemory(torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert judged(asked, torch.zeros(1, 1, 8, 8), lambda: reals).logits.shape == (1,)


def test_d_of_a_run_is_that_of_its_game(small_run):
    from equipoise.runs import checkpoint

    D, complaints = from_run(small_run)
    state, _ = checkpoint.load(checkpoint.newest_first(small_run.checkpoints)[0])
    assert complaints == []
    assert all(torch.equal(value, state["game.D"][name]) for name, value in D.D.state_dict().items())
    assert D.meaning == "rank"
