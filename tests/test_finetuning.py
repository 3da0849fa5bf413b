from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from equipoise import build, configuring, finetuning, launch
from equipoise.config import Digits, Start, override
from equipoise.errors import ConfigError, StorageError
from equipoise.recipes import recipe
from equipoise.runs import checkpoint

CPU = torch.device("cpu")
DATA = build.splits(Digits())
UNWATCHED = ("guardian.mode=off", "evaluate.metrics=[]")


@pytest.fixture
def config(small_run, tiny):
    def make(*settings, file=False):
        start = finetuning.start_at(small_run.model if file else small_run.path)
        return override(tiny("digits", *UNWATCHED).model_copy(update={"start": start}), settings)

    return make


def begun(config):
    form = build.form(config, DATA)
    game = build.game(config, form, CPU)
    finetuning.begin(game, config, form)
    return game


def equal(net, state):
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_a_run_begins_with_the_weights_of_another(small_run, config):
    state, _ = checkpoint.load(checkpoint.newest_first(small_run.checkpoints)[0])
    game = begun(config("seed=5"))
    assert equal(game.G, state["game.G"])
    assert equal(game.D, state["game.D"])
    assert equal(game.ema.net, state["game.G_ema"])
    assert not equal(game.G, state["game.G_ema"])


def test_a_file_gives_the_generator_alone(small_run, config):
    state, _ = checkpoint.load(checkpoint.newest_first(small_run.checkpoints)[0])
    game = begun(config("seed=5", file=True))
    assert equal(game.G, state["game.G_ema"])
    assert equal(game.ema.net, state["game.G_ema"])
    assert not equal(game.D, state["game.D"])


@pytest.mark.parametrize("layers", [1, 2])
def test_frozen_layers_of_d_stay_and_the_others_learn(layers, config):
    settings = config(f"freeze_d={layers}")
    game, batches = begun(settings), build.batches(settings, DATA, CPU)
    before = {name: p.clone() for name, p in game.D.named_parameters()}
    for _ in range(3):
        game.step(batches)
    moved = [not torch.equal(p, before[name]) for name, p in game.D.named_parameters() if p.ndim > 1]
    assert moved == [False] * layers + [True] * (3 - layers)
    assert torch.equal(game.D.hidden[0].bias, before["hidden.0.bias"])
    assert torch.equal(game.D.hidden[2].bias, before["hidden.2.bias"]) == (layers == 2)


@pytest.mark.parametrize("name", ["r3gan-xs", "hinge", "wgan-gp", "dcgan"])
def test_every_kind_of_d_can_be_frozen(name, small_run, tiny):
    start = finetuning.start_at(small_run.path)
    settings = override(tiny(name).model_copy(update={"start": start}), ["freeze_d=1"])
    game, batches = build.game(settings, build.form(settings, DATA), CPU), build.batches(settings, DATA, CPU)
    first, *_, last = (p for p in game.D.parameters() if p.ndim > 1)
    before = first.clone(), last.clone()
    game.step(batches)
    assert torch.equal(first, before[0])
    assert not torch.equal(last, before[1])


def test_a_config_repeats_a_run_that_was_begun_so(tmp_path, config):
    asked = config("freeze_d=1", "kimg=.04", "save.every_kimg=.02")
    run = launch.start(asked, tmp_path / "a")
    again = launch.start(configuring.configured(file=run.config), tmp_path / "b")
    drawn = launch.start(override(asked, ["start=null", "freeze_d=0"]), tmp_path / "c")
    assert again.model.read_bytes() == run.model.read_bytes() != drawn.model.read_bytes()
    newest = checkpoint.newest_first(run.checkpoints)[0]
    whole = run.model.read_bytes()
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()  # as if the run had been stopped before it
    run.model.unlink()
    assert launch.resume(run.path).model.read_bytes() == whole


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["nets.g_widths=[8]"], r"--set nets\.g_widths=\[12,12\]$"),
        (["nets.kind=r3gan", "nets.width=16"], r"--set nets\.kind=mlp .*--set nets\.g_widths=\[12,12\]"),
        (["nets.conditioning=projection"], "1x8x8 with no classes, and this run of 1x8x8 with 10 classes"),
        (["data.kind=stacked-digits"], "3x8x8"),
    ],
)
def test_weights_of_other_nets_are_refused_before_anything_is_written(settings, words, tmp_path, config):
    asked = config(*settings)
    with pytest.raises(ConfigError, match=words) as told:
        launch.start(asked, tmp_path / "run")
    assert len(str(told.value).splitlines()) <= 3
    assert not (tmp_path / "run").exists()


def test_what_matters_to_d_alone_does_not_matter_to_a_generator_s_file(config):
    begun(config("nets.d_widths=[9]", file=True))
    with pytest.raises(ConfigError, match="d_widths"):
        begun(config("nets.d_widths=[9]"))


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("hinge", ["nets.pack=2", "nets.minibatch=std"], ["minibatch=none", "pack=1"]),
        ("acgan", ["nets.evidence=data-to-data"], ["evidence=cross-entropy"]),
        ("stylegan2", ["nets.group=2"], ["group=4"]),
    ],
)
def test_how_d_sees_a_batch_does_not_matter_to_a_generator_alone(name, settings, words, tiny):
    nets = tiny(name).nets
    here = override(tiny(name), settings).nets
    alone = finetuning.Trained(nets, build.Form((1, 8, 8), 0), {}, {}, None)
    assert finetuning.departures(alone, here) == []
    assert finetuning.departures(replace(alone, D={}), here) == [f"--set nets.{word}" for word in words]


def test_a_generator_alone_begins_a_game_whose_d_compares(config):
    compares = ["nets.minibatch=std", "nets.pack=2", "loss=nonsaturating"]
    begun(config(*compares, file=True))
    with pytest.raises(ConfigError, match=r"--set nets\.minibatch=none"):
        begun(config(*compares))
    with pytest.raises(ConfigError, match="g_widths"):
        begun(config(*compares, "nets.g_widths=[8]", file=True))


def test_a_start_that_changed_or_went_away_is_told(small_run, config):
    asked = config(file=True)
    changed = asked.model_copy(update={"start": Start(path=str(small_run.model), sha256="0" * 64)})
    with pytest.raises(StorageError, match="no longer what this run was to start with"):
        begun(changed)
    gone = asked.model_copy(update={"start": Start(path="/nowhere", sha256="0" * 64)})
    with pytest.raises(StorageError, match="--from"):
        begun(gone)


def test_a_game_that_goes_both_ways_begins_alone_which_is_told_before_anything_is_written(small_run, tiny, tmp_path):
    asked = tiny("cyclegan", *UNWATCHED).model_copy(update={"start": finetuning.start_at(small_run.path)})
    with pytest.raises(ConfigError, match="leave out --from"):
        launch.start(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_generator_begins_with_is_part_of_what_it_makes():
    noise, pictures = build.Form((3, 16, 16), 0), build.Form((3, 16, 16), 0, given=1)
    assert finetuning.described(noise) != finetuning.described(pictures)


def test_freezing_needs_something_that_was_trained(config):
    with pytest.raises(ConfigError, match="--from RUN"):
        override(recipe("digits"), ["freeze_d=1"])
    with pytest.raises(ConfigError, match="a generator alone"):
        begun(config("freeze_d=1", file=True))
    with pytest.raises(ConfigError, match="it has 3"):
        begun(config("freeze_d=3"))
