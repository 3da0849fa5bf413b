"""Runs that begin with trained weights: those of a run, or a generator alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from equipoise import build, generator
from equipoise import config as c
from equipoise.errors import ConfigError, StorageError
from equipoise.games.gan import GAN
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, existing

Weights = Mapping[str, Tensor]

HARMLESS = ("init", "checkpointing", "style_mixing")  # settings of nets that trained weights do not care for
OF_D = ("group", "pack", "minibatch", "evidence")  # settings of D alone that are not called d_...


@dataclass(frozen=True)
class Trained:
    nets: c.Nets
    form: build.Form
    G: Weights
    G_ema: Weights
    D: Weights | None  # None: of a generator alone


def start_at(path: Path) -> c.Start:
    """The newest checkpoint of a run, or a .safetensors file, as the start of another run.

    Raises:
        ConfigError: when there is no run.
        StorageError: when it cannot be read.
    """
    if not path.is_file():
        path, _ = checkpoint.latest(existing(path).checkpoints)
    return c.Start(path=str(path.resolve()), sha256=digest(path))


def digest(start: Path) -> str:
    file = start / "state.pt" if start.is_dir() else start
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise StorageError(
            f"the weights to start with, {file}, cannot be read: {error.strerror}.\n"
            "Put them back, or give others with --from."
        ) from error


def trained(start: c.Start) -> Trained:
    """Raises StorageError for weights that are not those that the run was to begin with."""
    path = Path(start.path)
    if digest(path) != start.sha256:
        raise StorageError(f"{path} is no longer what this run was to start with. Put it back, or give --from anew.")
    if path.is_file():
        alone = generator.from_file(path)
        state = alone.G.state_dict()
        return Trained(alone.nets, alone.form, state, state, None)
    state, manifest = checkpoint.load(path)
    form = build.Form.of(manifest)
    nets = c.read(RunFolder(path.parent.parent).config).nets
    return Trained(nets, form, state["game.G"], state["game.G_ema"], state["game.D"])


def checked(config: c.TrainConfig, form: build.Form) -> Trained | None:
    """The weights that a run begins with; None where they are drawn.

    Raises:
        ConfigError: when they are those of other nets, there is no D to freeze, or the game goes both ways.
        StorageError: when they cannot be read.
    """
    if config.start is None:
        return None
    if config.play == "cycle":
        raise ConfigError("a game that goes both ways cannot begin with the networks of another: leave out --from.")
    found = trained(config.start)
    if form != found.form:
        raise ConfigError(
            f"{config.start.path} makes samples of {described(found.form)}, and this run of {described(form)}.\n"
            "Give data of the same size, channels and classes (data.size, nets.conditioning)."
        )
    if different := departures(found, config.nets):
        raise ConfigError(
            f"{config.start.path} holds the weights of other nets than this run's.\n"
            f"Give this run the same: {' '.join(different)}"
        )
    if config.freeze_d and found.D is None:
        raise ConfigError(f"{config.start.path} holds a generator alone, so no D is there to freeze: set freeze_d=0.")
    return found


def described(form: build.Form) -> str:
    samples = f"{'x'.join(map(str, form.shape))} with {form.classes or 'no'} classes"
    return f"{samples}, made of pictures of {form.given} channels" if form.given else samples


def departures(found: Trained, here: c.Nets) -> list[str]:
    """The settings that make the nets `here` those whose weights were found."""
    there, ours = found.nets.model_dump(mode="json"), here.model_dump(mode="json")
    usual = ours if there["kind"] == ours["kind"] else type(found.nets)().model_dump(mode="json") | {"kind": None}
    matters = [key for key in there if key not in HARMLESS and (found.D is not None or not of_d(key))]
    return [f"--set nets.{key}={spelled(there[key])}" for key in matters if there[key] != usual[key]]


def of_d(setting: str) -> bool:
    return setting.startswith("d_") or setting in OF_D


def spelled(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def begin(game: build.AnyGame, config: c.TrainConfig, form: build.Form) -> None:
    """Puts the weights that the config names into a game at its start. Raises as `checked`."""
    if (found := checked(config, form)) is None:
        return
    assert isinstance(game, GAN), "others are refused above"
    game.G.load_state_dict(found.G)
    game.ema.load_state_dict(dict(found.G_ema))
    if found.D is not None:
        game.D.load_state_dict(found.D)
