"""Games that begin with pictures: what their nets must know of the data, and how their samples are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from equipoise import config as c
from equipoise import pictures
from equipoise.build.games import dealing_of
from equipoise.build.pixels import as_pixels
from equipoise.build.players import Form
from equipoise.data import sides
from equipoise.data.source import Source, Splits, everything, mixed
from equipoise.errors import ConfigError, DataError
from equipoise.games.base import Game
from equipoise.games.cyclegan import BACK, CycleGAN
from equipoise.games.dealing import Dealt, Undrawn
from equipoise.pictures import Lines

CASES = 16  # in a grid
COLUMNS = 2  # cases beside each other


def require_domains(config: c.TrainConfig, data: Splits) -> None:
    """Raises ConfigError where two domains are wanted and there is one, or the other way round."""
    play, kind, given, made = config.play, config.data.kind, data.given, data.train.shape[0] - data.given
    if play == "restyle":
        return require_styles(data)
    if play == "noise":
        if given:
            raise ConfigError(
                f"data.kind={kind} has two domains, and the recipe {config.recipe} draws samples of one: take a recipe "
                "from picture to picture, such as pix2pix, or other data."
            )
        return
    if not given:
        raise ConfigError(
            f"play={play} needs two domains, and data.kind={kind} has one: set data.kind to pairs, domains or degrade."
        )
    if play == "pairs" and isinstance(config.data, c.Domains | c.ColouredDigits):
        raise ConfigError(f"play=pairs needs pairs, and data.kind={kind} has none: take the recipe cyclegan or cut.")
    alike = [name for name in ("nce", "nce_identity", "identity") if getattr(config.knobs, name)]
    if alike and given != made:
        raise ConfigError(
            f"knobs.{alike[0]} shows G what it has made, or should make, and pictures have {given} channels in A and "
            f"{made} in B: set it to 0, or bring both to one number."
        )


def require_styles(data: Splits) -> None:
    """Raises DataError for sentences of one style only."""
    if data.train.classes < 2:
        raise DataError(
            "these sentences are of one style only, so there is no other to tell them in.\n"
            "Give a folder with a .txt file for each style: its name is that of the style."
        )


def form(play: c.Play, data: Splits) -> Form:
    """Of a set with two domains, or with several styles."""
    if play == "restyle":
        return Form(data.train.shape, data.train.classes, vocabulary=data.vocabulary, styles=tuple(data.class_names))
    channels, *sides = data.train.shape
    given, made = data.given, channels - data.given
    return Form((made, *sides), 0, given, {"pairs": given, "styles": made}.get(play, 0))


def made_by(form: Form, way: str = "") -> slice:
    """The channels of a sample of two domains that a generator makes."""
    return slice(0, form.shape[0]) if way else slice(form.given, None)


def given_to(form: Form, way: str = "") -> slice:
    """Those that it is given."""
    return slice(form.shape[0], None) if way else slice(0, form.given)


def given_once(form: Form, part: Source, way: str = "") -> Source:
    """The samples of a part that hold each picture that is given once: translated again, it would pass for a
    collapse."""
    return sides.once(part, given_to(form, way))


def others(y: Tensor, styles: int) -> Tensor:
    """For each style one that is not it, all others in turn. [N]."""
    return (y + 1 + torch.arange(len(y)) % (styles - 1)) % styles


def restyling_drawn(form: Form, part: Source, device: torch.device) -> Callable[[Game], Lines]:
    """A function that writes a few sentences of a part, and below each what became of it."""
    vocabulary = form.vocabulary
    assert vocabulary is not None, "rules.speaking pairs these nets with sentences"
    x, y, _ = dealt_of("restyle", form, mixed(part, CASES))
    asked, said = others(y, form.classes), vocabulary.lines(x)

    def drawn(game: Game) -> Lines:
        made = vocabulary.lines(game.sampler(x.to(device), asked.to(device)))
        rows = zip(y.tolist(), said, asked.tolist(), made, strict=True)
        return Lines([
            line for own, one, other, told in rows
            for line in (f"{form.styles[own]}: {one}", f"{form.styles[other]}: {told}", "")
        ])  # fmt: skip

    return drawn


def dealt_of(play: c.Play, form: Form, part: Source, way: str = "") -> Dealt:
    """All samples of a part, as a game is dealt them; with nothing to begin with where that is noise."""
    return dealing_of(play, form, way)(Undrawn(), *everything(part))


def drawing(play: c.Play, form: Form, part: Source, device: torch.device) -> Callable[[Game], Image.Image]:
    """A function that draws the same few cases of a part: the picture that was given, what became of it, and beside
    it what that should be, or whose style it should have, or what it is when it has come back."""
    few = mixed(part, CASES)
    real, y, z = (t.to(device) for t in dealt_of(play, form, few))

    def through(game: Game, x: Tensor) -> Tensor:
        """So many at a time as fit into the memory."""
        parts = zip(torch.split(x, form.at_once), torch.split(y, form.at_once), strict=True)
        return torch.cat([game.sampler(*part) for part in parts])

    def drawn(game: Game) -> Image.Image:
        made = through(game, z)
        if isinstance(game, CycleGAN):
            _, _, other = (t.to(device) for t in dealt_of(play, form.back, few, BACK))
            back = through(game.back, other)
            return cases([z, made, through(game.back, made), other, back, through(game, back)])
        return cases([z, made] if play == "domains" else [z, made, real])

    return drawn


def cases(columns: Sequence[Tensor]) -> Image.Image:
    """[N, C, H, W] each, whose pictures i stand beside each other; of masks and other channels nothing is drawn."""
    colour = any(x.shape[1] >= 3 for x in columns)
    shown = [shown_as(x, 3 if colour else 1) for x in columns]
    return pictures.grid(as_pixels(torch.stack(shown, 1).flatten(0, 1)), COLUMNS * len(columns))


def shown_as(x: Tensor, channels: int) -> Tensor:
    return x[:, :channels] if x.shape[1] >= channels else x[:, :1].expand(-1, channels, -1, -1)
