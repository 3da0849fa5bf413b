"""The verb `equipoise lesion segment`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from equipoise import generator
from equipoise.augment import Ranges
from equipoise.cli import screen
from equipoise.cli.use import older, one_of
from equipoise.config import Lesions, read
from equipoise.config.masks import MaskRules, rules_at
from equipoise.data import lesions as data
from equipoise.data.source import scaled
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import TrainedGenerator
from equipoise.pictures import save
from equipoise.runs.folder import existing
from equipoise.uses import lesions
from equipoise.uses.segmenting import Cases, Judged, Learning, Segmented, judged, overlaid, segmented, trained

Learnt = Literal["real", "made-up", "both"]
ORDINARY = Ranges(turn_degrees=15, shift=0.1, scale=0.1, flip_x=True)
MEMORY_MIB = 4096
DRAWN = 12  # slices


class Asked(NamedTuple):
    data: Path
    run: Path | None
    learn: str
    out: Path
    steps: int
    nets: int
    vary: bool
    size: int | None
    channel: int | None
    rules: Path | None
    seed: int
    checkpoint: str


def segment(asked: Asked, as_json: bool) -> None:
    learn = one_of(asked.learn or ("both" if asked.run else "real"), "--learn", get_args(Learnt))
    G, asked = opened(asked, learn)
    found = data.masked(data.Asked(asked.data, asked.size, asked.channel, MEMORY_MIB))
    cases = Cases(scaled(found.x), found.masks, found.patients)
    unseen = data.held_out(found, asked.data)
    others = torch.unique(cases.patients)
    real, test = cases.of(others[~torch.isin(others, unseen)]), cases.of(unseen)
    learnt = real if G is None else with_made_up(G, real, learn, asked)
    nets = [
        trained(learnt.x, learnt.masks, seed, learning(asked), screen.track)
        for seed in range(asked.seed, asked.seed + asked.nets)
    ]
    shown = segmented(nets, test.x)
    figures = judged(shown, test)
    write(shown, test, asked.out)
    tell(figures, learnt, learn, asked, as_json)


def learning(asked: Asked) -> Learning:
    return Learning(steps=asked.steps, vary=ORDINARY if asked.vary else Ranges())


def opened(asked: Asked, learn: Learnt) -> tuple[TrainedGenerator | None, Asked]:
    """The generator of a run, and what was asked, with the size and the channel that it learnt.

    Raises:
        ConfigError: for a run of other data, whose held-out patients are others, or made-up ones without a run.
    """
    if asked.run is None:
        if learn != "real":
            raise ConfigError(f"--learn {learn} needs a run that makes lesions: name it with --with RUN.")
        return None, asked
    own = read(existing(asked.run).config).data
    if not isinstance(own, Lesions) or Path(own.path).resolve() != asked.data.resolve():
        raise ConfigError(
            f"{asked.run} did not learn from {asked.data}: who was held out is not known.\nGive the data of the run."
        )
    if asked.size or asked.channel is not None:
        raise ConfigError("--size and --channel are those of the run: leave them out.")
    G, complaints = generator.opened(asked.run, asked.checkpoint)
    older(complaints)
    return (None if learn == "real" else G), asked._replace(size=G.form.shape[1], channel=own.channel)


def with_made_up(G: TrainedGenerator, real: Cases, learn: Learnt, asked: Asked) -> Cases:
    """As many made-up slices as real ones, in their place or beside them."""
    rules = rules_at(asked.rules) if asked.rules else MaskRules()
    ill = real.masks.flatten(1).any(1)
    drawn = lesions.made_up(G, real.x[~ill], real.masks[ill], len(real.x), asked.seed, rules)
    x, masks = zip(*screen.track(drawn, "making lesions up", len(real.x)), strict=True)
    nobody = torch.full((len(x),), -1)
    made = Cases(torch.stack(x), torch.stack(masks), nobody)
    return made if learn == "made-up" else Cases(*map(torch.cat, zip(real, made, strict=True)))


def write(found: Segmented, test: Cases, out: Path) -> None:
    """Some slices with what was found drawn over them; and all of it as numbers. Raises StorageError."""
    ill = test.masks.flatten(1).any(1).nonzero().flatten()
    some = ill[torch.linspace(0, len(ill) - 1, min(DRAWN, len(ill))).long()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        save(overlaid(test.x[some], Segmented(found.chance[some], found.deviation[some])), out / "found.png")
        with (out / "found.npz").open("wb") as file:
            np.savez_compressed(
                file, chance=found.chance.numpy(), deviation=found.deviation.numpy(), masks=test.masks.numpy(),
                patient=test.patients.numpy(),
            )  # fmt: skip
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error


def tell(figures: Judged, learnt: Cases, learn: Learnt, asked: Asked, as_json: bool) -> None:
    if as_json:
        screen.show_json({
            "dice": {"value": figures.dice, "low": figures.low, "high": figures.high}, "patients": figures.patients,
            "learnt_from": learn, "slices": len(learnt.x), "steps": asked.steps, "nets": asked.nets,
        })  # fmt: skip
        return
    screen.say("\n".join(lines(figures, learnt, learn, asked)))


def lines(figures: Judged, learnt: Cases, learn: Learnt, asked: Asked) -> Iterator[str]:
    sure = "" if figures.low is None else f" (95%: {figures.low:.3f} to {figures.high:.3f})"
    yield f"Dice {figures.dice:.3f}{sure}, the mean over {len(figures.patients)} patients whom nobody learnt from."
    least = min(figures.patients.values())
    yield f"The worst of them: {least:.3f}. Learnt from {len(learnt.x)} slices ({learn}), {asked.nets} nets."
    yield f"{asked.out}: slices, the chance of a lesion in orange, disagreement in blue. Not for diagnosis."
