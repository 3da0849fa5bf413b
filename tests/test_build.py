"""What a config switches on, and what it leaves alone."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from equipoise import build
from equipoise.augment import Ranges
from equipoise.config import Augmentation, ColouredDigits, Digits, PaintedDigits, override
from equipoise.data.source import Part, Splits, everything
from equipoise.errors import ConfigError
from equipoise.games.adaptive import AgainstHeldOut, Pairs, Steady
from equipoise.games.gan import identity
from equipoise.generator import TrainedGenerator
from equipoise.knobs import Knobs
from equipoise.processes import Processes
from equipoise.recipes import recipe

CPU = torch.device("cpu")
DATA = build.splits(Digits())


def played(config, steps=3, augment=None):
    """All weights after some steps, and the batches."""
    game, batches = build.game(config, build.form(config, DATA), CPU), build.batches(config, DATA, CPU)
    game.augment = augment or game.augment
    for _ in range(steps):
        game.step(batches)
    return torch.cat([p.flatten() for net in game.networks().values() for p in net.parameters()])


def first_batch(config):
    return next(build.batches(config, DATA, CPU))[0]


def test_a_config_and_the_mathematics_have_the_same_ranges_all_off():
    assert Augmentation().model_dump() == {field.name: field.default for field in fields(Ranges)}
    assert Ranges(**Augmentation().model_dump()) == Ranges()


def test_augmentation_in_front_of_D_is_off_unless_it_is_asked_for(tiny):
    off, on = tiny("digits"), tiny("digits", "knobs.augment_p=.5")
    assert torch.equal(played(off), played(off, augment=identity))
    assert torch.equal(played(on), played(on))
    others = [off, tiny("digits", "knobs.augment_p=.6")]
    kinds = ("cutout", "ada-blit", "ada-geometric", "ada-color")
    others += [tiny("digits", "knobs.augment_p=.5", f"augment=[{kind}]") for kind in kinds]
    assert not any(torch.equal(played(on), played(other)) for other in others)


def test_held_out_reals_are_of_the_validation_part_and_varied_as_those_that_D_learns_from(tiny):
    config = tiny("digits", "batch=32")
    x, y = build.held_out(config, DATA, CPU)(64)
    known = {tuple(row.tolist()): label.item() for row, label in zip(*flat(DATA.validation), strict=True)}
    assert len({tuple(row.tolist()) for row in x.flatten(1)}) > 30, "each once, where there are enough"
    assert all(known[tuple(row.tolist())] == label for row, label in zip(x.flatten(1), y, strict=True))
    shares = [build.held_out(config, DATA, CPU, Processes(rank, 2))(64)[0] for rank in range(2)]
    assert torch.equal(torch.cat(shares), x)
    assert not torch.equal(build.held_out(config, DATA, CPU)(128)[0], x)
    varied = build.held_out(tiny("digits", "batch=32", "data.augment.flip_x=true"), DATA, CPU)(64)[0]
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(varied, x, strict=True)]
    assert 4 < sum(mirrored) < 28
    few = Splits(DATA.train, Part(DATA.validation, torch.arange(5)), DATA.test)
    assert len({tuple(row.tolist()) for row in build.held_out(config, few, CPU)(0)[0].flatten(1)}) == 5


def flat(source):
    x, y = everything(source)
    return x.flatten(1), y


def test_what_the_rule_of_p_hears_is_chosen_by_the_config(tiny):
    def pace(*settings):
        config = tiny("digits", *settings)
        return build.game(config, build.form(config, DATA), CPU).pace

    assert isinstance(pace("augment_hears=held-out"), Steady)
    assert isinstance(pace("knobs.augment_target=.6").figure, Pairs)
    assert isinstance(pace("knobs.augment_target=.6", "augment_hears=held-out").figure, AgainstHeldOut)
    config = tiny("small-ada")
    assert isinstance(pace(f"augment_hears={config.augment_hears}", "knobs.augment_target=.5").figure, AgainstHeldOut)
    game, batches = build.game(config, build.form(config, DATA), CPU), build.batches(config, DATA, CPU)
    with pytest.raises(ConfigError, match=r"build\.held_out"):
        for _ in range(4):
            game.step(batches)


def test_real_and_fake_samples_and_each_step_have_augmentations_of_their_own(tiny):
    config = tiny("digits", "knobs.augment_p=.5")
    game, other = (build.game(c, build.form(c, DATA), CPU) for c in (config, tiny("digits", "seed=1")))
    x = first_batch(config)[:1].expand(64, -1, -1, -1)
    for knobs in (Knobs(augment_p=0.5), Knobs(instance_noise=0.1)):
        results = [game.augment(x, knobs, *how) for how in (("real", 8), ("fake", 8), ("mixed", 8), ("real", 16))]
        results.append(other.augment(x, knobs, "real", 8))
        assert not any(torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])
        assert torch.equal(game.augment(x, knobs, "real", 8), results[0])
    assert game.augment(x, Knobs(), "real", 8) is x


def test_instance_noise_has_the_deviation_that_was_asked_for_and_is_added_to_what_was_augmented(tiny):
    game = build.game(tiny("digits"), build.form(tiny("digits"), DATA), CPU)
    x = first_batch(tiny("digits", "batch=200"))
    noise = game.augment(x, Knobs(instance_noise=0.2), "real", 8) - x
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.2, abs=0.01)
    both = game.augment(x, Knobs(augment_p=0.5, instance_noise=0.2), "real", 8)
    augmented = game.augment(x, Knobs(augment_p=0.5), "real", 8)
    torch.testing.assert_close(both - augmented, noise)
    gradient = torch.autograd.grad(game.augment(x.requires_grad_(), Knobs(instance_noise=0.2), "fake", 8).sum(), x)[0]
    assert (gradient == 1).all(), "G learns through it"


def test_each_process_has_its_part_of_the_noise_of_the_whole_batch(tiny):
    config = tiny("digits")
    x, knobs = torch.zeros(8, 1, 8, 8), Knobs(instance_noise=1.0)
    whole = build.in_front_of_D(config, CPU, Processes())(x, knobs, "real", 8)
    parts = [build.in_front_of_D(config, CPU, Processes(i, 2))(x[:4], knobs, "real", 8) for i in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)


def test_a_picture_that_is_told_is_augmented_alike_and_its_colours_stay_its_own(tiny):
    config, knobs = tiny("pix2pix", "augment=[color, translation, flip, ada-color]"), Knobs(augment_p=0.8)
    alone, both = (build.in_front_of_D(config, CPU, Processes(), made=made) for made in (0, 3))
    x, y = torch.rand(2, 16, 3, 8, 8) * 2 - 1
    found = both(torch.cat([x, y], 1), knobs, "real", 8)
    torch.testing.assert_close(found, torch.cat([alone(x, knobs, "real", 8), alone(y, knobs, "real", 8)], 1))
    mixed = alone(torch.cat([x, y], 1), knobs, "real", 8)
    assert (mixed - found).abs().max() > 0.1, "the control"
    torch.testing.assert_close(both(x, knobs, "real", 8), alone(x, knobs, "real", 8))


def test_a_mask_is_moved_with_its_picture_and_never_tinted(tiny):
    knobs = Knobs(augment_p=1.0)
    x, told = torch.rand(2, 16, 1, 16, 16) * 2 - 1
    mask = torch.zeros(16, 1, 16, 16)
    mask[:, :, 5:9, 6:11] = 1
    both = torch.cat([x, told, mask], 1)
    for kinds in ("[color, ada-color]", "[translation, flip, color, ada-color]"):
        config = tiny("lesion", f"augment={kinds}")
        game = build.game(config, build.form(config, build.splits(config.data)), CPU)
        found = game.augment(both, knobs, "real", 8)
        assert set(found[:, 2].unique().tolist()) <= {0, 1}
        assert torch.equal(found[:, 2:], mask) == ("translation" not in kinds)
        assert (found[:, :1] - x).abs().mean() > 0.1
        alone = build.in_front_of_D(config, CPU, Processes(), made=1)(both, knobs, "real", 8)
        torch.testing.assert_close(alone[:, :1], found[:, :1])
        assert len(alone[:, 2].unique()) > 2, "the control: without a word on masks it is tinted"


@pytest.mark.parametrize("size", [3, 20])
def test_the_augmentation_of_the_data_does_not_depend_on_the_size_of_batches(size, tiny):
    settings = ("data.augment={flip_x: true, flip_y: true, shift: .2}",)
    one, other = (build.batches(tiny("digits", *settings, f"batch={n}"), DATA, CPU) for n in (60, size))
    whole = next(one)[0]
    assert torch.equal(torch.cat([next(other)[0] for _ in range(60 // size)]), whole)
    plain = tiny("digits", "batch=60")
    assert not torch.equal(whole, first_batch(plain))
    assert torch.equal(first_batch(plain), DATA.train.take(one.indices(0, 60))[0])


def test_an_epoch_later_a_sample_is_varied_in_another_way(tiny):
    n = len(DATA.train)
    batches = build.batches(tiny("digits", "data.augment.turn_degrees=20", f"batch={n}"), DATA, CPU)
    orders = [batches.indices(i * n, n).argsort() for i in range(2)]
    first, second = (next(batches)[0][order] for order in orders)
    assert (first - second).abs().amax((1, 2, 3)).gt(1e-3).double().mean() > 0.99


def test_what_D_sees_again_is_shifted_alike_in_one_process_and_in_two(tiny):
    x = torch.rand(16, 1, 8, 8)
    config = tiny("digits")
    whole = build.seen_again(config, CPU, Processes())(x, Knobs(), "real", 8)
    parts = [build.seen_again(config, CPU, Processes(i, 2))(x[8 * i :][:8], Knobs(), "real", 8) for i in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole, x)
    others = [build.seen_again(config, CPU, Processes())(x, Knobs(), *how) for how in (("fake", 8), ("real", 16))]
    assert not any(torch.equal(other, whole) for other in others)
    mirrored = build.seen_again(tiny("digits", "augment=[flip]"), CPU, Processes())(x, Knobs(), "real", 8)
    assert not torch.equal(mirrored, whole)


def test_a_share_of_a_batch_holds_whole_packs(tiny):
    config = tiny("digits", "nets.pack=4")
    form = build.form(config, DATA)
    build.game(config, form, CPU, Processes(0, 2))
    with pytest.raises(ConfigError, match=r"batch=8 cannot be shared by 4 processes in packs of 4: .* multiple of 16"):
        build.game(config, form, CPU, Processes(0, 4))


def test_one_process_alone_can_look_ahead(tiny):
    config = tiny("digits", "knobs.unroll=1")
    with pytest.raises(ConfigError, match=r"knobs\.unroll looks ahead on one process's samples alone"):
        build.game(config, build.form(config, DATA), CPU, Processes(0, 2))


@pytest.mark.parametrize(("shape", "n"), [((2,), 256), ((1, 8, 8), 256), ((3, 64, 64), 256), ((3, 256, 256), 16)])
def test_so_many_samples_are_drawn_at_once(shape, n):
    assert build.Form(shape, 0).at_once == n
    assert build.Form((3, 4096, 4096), 0).at_once == 1


@pytest.mark.parametrize(("name", "told"), [("pix2pix", 3), ("superres", 1), ("cut", 0), ("stylize", 0)])
def test_D_is_told_what_a_picture_was_made_of_where_it_belongs_to_that_and_never_the_style(name, told, tiny):
    """The picture of a style is the very one that D is shown as real."""
    config = tiny(name)
    _, D = build.networks(config.nets, build.form(config, build.splits(config.data)), seed=0)
    assert D.given == told


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("dcgan", PaintedDigits(), "has two domains, and the recipe dcgan draws samples of one"),
        ("pix2pix", Digits(), "play=pairs needs two domains, and data.kind=digits has one"),
        ("pix2pix", ColouredDigits(), "play=pairs needs pairs, and data.kind=coloured-digits has none"),
        ("cut", PaintedDigits(), "knobs.nce shows G .* 3 channels in A and 1 in B"),
        ("cyclegan", PaintedDigits(), "knobs.identity shows G"),
    ],
)
def test_data_that_cannot_be_played_so_is_refused_in_words(name, data, words, tiny):
    with pytest.raises(ConfigError, match=words):
        build.form(tiny(name).model_copy(update={"data": data}), build.splits(data))


def test_samples_drawn_in_parts_are_those_drawn_at_once(monkeypatch):
    config, form = override(recipe("dcgan"), ["nets.g_width=4"]), build.Form((3, 32, 32), 0)
    G, _ = build.networks(config.nets, form, seed=0)
    trained = TrainedGenerator(G.eval().requires_grad_(False), config.nets, form)
    whole = trained.sample(10)
    monkeypatch.setattr("equipoise.build.players.DRAWN_PIXELS", 3 * 32 * 32)
    assert form.at_once == 3
    assert np.abs(trained.sample(10).astype(int) - whole).max() <= 1  # a sum may round otherwise
