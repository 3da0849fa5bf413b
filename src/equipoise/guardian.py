"""The guardian: it looks at the samples and the players of a game, says what is wrong, and mends it where it may."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from equipoise.controller import HandsOff, Sight
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import InMemory, Source, everything, mixed, parted
from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.remedies import Setting, ladder_of
from equipoise.diagnosis.treatment import Treatment
from equipoise.diagnosis.watch import Watch
from equipoise.encoders.encoder import Encoder
from equipoise.errors import ConfigError
from equipoise.games.cyclegan import of_way_back
from equipoise.games.gan import GAN
from equipoise.judging import drawn
from equipoise.knobs import At, Change, Knobs
from equipoise.probes.players import Bench, at_rest, auc, mean_logit, standing
from equipoise.probes.view import POINTS, charted, field, principal
from equipoise.sight import Eyes, eyes_for

OF_MODES = frozenset({"total collapse", "partial collapse", "imbalance"})
BURN_IN = 0.05  # of a run, in which its samples are not expected to be any good
MEASURED = 1000  # samples whose spread is measured
FIRST = 5  # looks, in a loop whose length is unknown
LEAST_LOGITS, MOST_LOGITS = 32, 256  # of D, of each kind: of fewer, chance alone tells; more need not be kept


class Guardian:
    """Watches anybody's training loop; nothing else of Equipoise is needed.

    >>> guardian = Guardian(real, held_out=others)      # learns what is normal; a minute, and remembered
    >>> for step in ...:
    ...     if finding := guardian.observe(step, fake=fake, real_logits=..., fake_logits=..., d_loss=..., g_loss=...):
    ...         print(finding.symptom, finding.evidence, finding.advice)

    Samples are images, as arrays uint8 [N, H, W, C] or as tensors [N, C, H, W] (uint8, or floats in -1..1), or points
    and features [N, d].
    """

    def __init__(
        self,
        real: Tensor | NDArray[Any],
        held_out: Tensor | NDArray[Any] | None = None,
        *,
        labels: Tensor | NDArray[Any] | None = None,
        features: str | Encoder = "auto",
        n: int = 1000,
        every: int = 100,
        burn_in: int | None = None,
        track: Track = untracked,
        warn: Warn = unheard,
    ):
        """`real` is what D learns from, `held_out` the like that it never sees; without it a fifth of `real` stands in,
        and copies cannot be told from other samples. `labels` [N] are of `real`. A look is taken at n fakes after
        `every` observed steps; in the first `burn_in` steps only what is beyond doubt is told (default: 5 looks).

        Raises:
            ConfigError, DataError: for samples or features that cannot be used.
        """
        if every < 1:
            raise ConfigError(f"every={every}: a look is taken after one step or more.")
        train, others = sides(real, held_out, labels)
        self.every, self.held_out = every, held_out is not None
        self.eyes = eyes_for(train, others, features, n, track, warn)
        calibration = None if self.eyes is None else self.eyes.calibration
        self.watch = Watch(calibration, FIRST * every if burn_in is None else burn_in)
        self.treatment: Treatment | None = None  # once advice is asked for
        self._apart2, self._deviation = spread(train)
        self._images = len(train.shape) == 3
        self._asked: At | None = None  # of the last look, until advice was asked for
        self._rows: list[dict[str, float | Tensor]] = []
        self._logits: dict[str, list[Tensor]] = {}  # of the newest steps that told any
        self._fakes: list[Tensor] = []
        self._shown = False  # a fake, ever: looks then wait for others

    @property
    def findings(self) -> list[Finding]:
        """What is wrong as far as the last look saw, the worst first."""
        return self.watch.findings()

    def observe(
        self,
        step: int,
        *,
        fake: Tensor | NDArray[Any] | None = None,
        real_logits: Tensor | None = None,
        fake_logits: Tensor | None = None,
        held_out_logits: Tensor | None = None,
        **numbers: float | Tensor,
    ) -> Finding | None:
        """The worst of what is news, if a look was taken at this step and found something.

        `numbers` may be d_loss, g_loss, d_grad_norm, g_grad_norm: floats or scalars on any device, which are not waited
        for until the next look. `held_out_logits` are D's of reals that it never saw. Fakes are gathered until there
        are n of them, so that small batches will do; they need not come at each step. Logits of the newest steps count
        together, too; where there are fewer than 32 of a kind, D is not judged by them.
        """
        row: dict[str, float | Tensor] = {k: v.detach() if isinstance(v, Tensor) else v for k, v in numbers.items()}
        self._rows.append(row)
        self._shown = self._shown or fake is not None
        for name, told in {"real": real_logits, "fake": fake_logits, "held_out": held_out_logits}.items():
            if told is not None:
                self._logits[name] = newest([*self._logits.get(name, ()), mean_logit(told.detach())])
        due = len(self._rows) >= self.every
        if due and fake is not None and self.eyes is not None:
            self._fakes.append(batch(fake).detach().cpu())
        broken = any(isinstance(v, float) and not math.isfinite(v) for v in row.values()) or (due and self.diverged())
        if not broken and not (due and (not self._shown or self.eyes is None or self.gathered >= self.eyes.n)):
            return None
        logits = {name: torch.cat(parts).cpu() for name, parts in self._logits.items()}
        self._logits.clear()
        for row in self._rows:
            self.watch.heed({name: float(value) for name, value in row.items()})
        news = self.watch.add(step, *self.look(logits, sees=not broken))
        self._asked = At(step, step, broken=broken)
        self._rows.clear()
        self._fakes.clear()
        return news[0] if news else None

    def advise(self, knobs: Knobs, *, batch_norm: bool = False) -> Change | None:
        """What to change after a look, if anything: one change at a time, judged by later looks, and undone where it
        did not help. `knobs` are as the loop plays now, `batch_norm` whether D has BatchNorm.

        The loop makes the change: `change.knobs` is how to play from now on; where `change.back_to` is given, the
        players (weights, averages, optimizers) first go back to their state at that step; where `change.stop` is true,
        nothing is left to be tried. States worth keeping are those of `snapshots`.
        """
        if self.treatment is None:
            setting = Setting(knobs, self._images, batch_norm, self._apart2, self._deviation)
            self.treatment = Treatment(setting, self.watch)
        at, self._asked = self._asked, None
        return None if at is None else self.treatment.propose(at, knobs)

    @property
    def snapshots(self) -> Sequence[int]:
        """The steps at which `advise` was asked and whose state it may send the loop back to: all others may go."""
        return () if self.treatment is None else self.treatment.steps

    def diverged(self) -> bool:
        """Reads the numbers that were not waited for. Whether one of them, or of the last fakes, is not finite."""
        unread = self._rows if len(self._rows) == self.every else self._rows[-1:]
        for row in unread:
            row.update({name: float(value) for name, value in row.items()})
        if self._fakes and not torch.isfinite(self._fakes[-1]).all():
            self._rows[-1]["fake"] = math.nan
        return any(not math.isfinite(value) for row in unread for value in row.values())

    @property
    def gathered(self) -> int:
        return sum(map(len, self._fakes))

    def look(self, logits: Mapping[str, Tensor], sees: bool = True) -> tuple[dict[str, float], list[float]]:
        found: dict[str, float] = {}
        logits = {name: of for name, of in logits.items() if len(of) >= LEAST_LOGITS}
        if "real" in logits and "fake" in logits:
            tells = auc(logits["real"], logits["fake"])
            found |= {"d_tells": tells, "paired_sign": 2 * tells - 1}
        if "real" in logits and "held_out" in logits:
            found["d_auc"] = auc(logits["real"], logits["held_out"])
        if not sees or self.eyes is None or self.gathered < self.eyes.n:
            return found, []
        signals, drawn_shares = self.eyes.see(torch.cat(self._fakes)[: self.eyes.n])
        if not self.held_out:
            signals = {name: value for name, value in signals.items() if name not in ("copy_rate", "c_t")}
        return found | signals, drawn_shares


def newest(parts: list[Tensor]) -> list[Tensor]:
    """As many of the last ones as hold MOST_LOGITS, or all."""
    while sum(map(len, parts[1:])) >= MOST_LOGITS:
        parts = parts[1:]
    return parts


def batch(x: Tensor | NDArray[Any]) -> Tensor:
    """Arrays of images have their channels last, tensors first."""
    if isinstance(x, Tensor):
        return x if x.dtype == torch.uint8 else x.float()
    x = np.asarray(x)
    found = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x))
    return found if found.dtype == torch.uint8 else found.float()


def sides(
    real: Tensor | NDArray[Any], held_out: Tensor | NDArray[Any] | None, labels: Tensor | NDArray[Any] | None
) -> tuple[Source, Source]:
    x = batch(real).cpu()
    if x.ndim not in (2, 4):
        raise ConfigError(f"samples are images of four dimensions or points of two, not of shape {list(x.shape)}.")
    y = None if labels is None else torch.as_tensor(labels).long().cpu()
    if y is not None and len(y) != len(x):
        raise ConfigError(f"there are {len(x)} real samples and {len(y)} labels: give one for each.")
    train = InMemory(x, y, 0 if y is None else int(y.max()) + 1)
    if held_out is not None:
        return train, InMemory(batch(held_out).cpu())
    split = parted(train, {"train": torch.arange(len(x)), "test": torch.arange(0)}, held_out=0.2)
    return split.train, split.validation


def spread(source: Source) -> tuple[float, float]:
    """Of samples: their mean squared distance, and the deviation of one of their numbers about its mean."""
    x, _ = everything(mixed(source, MEASURED))
    variance = x.flatten(1).double().var(0, correction=min(1, len(x) - 1))  # one sample lies at its mean
    return float(2 * variance.sum()), float(variance.mean().sqrt())


class OfGame:
    """Watches a game of our own, and mends it where it is given what it needs for that: the controller of a run."""

    def __init__(
        self, eyes: Eyes | None, bench: Bench, z: Tensor, y: Tensor, images: int, *, first: Sequence[Finding] = (),
        draw: Callable[[Sequence[float], Sequence[float]], Image.Image] | None = None, conditional: bool = False,
        setting: Setting | None = None, ask: Callable[[Any, Bench], dict[str, float]] = standing,
        strip: Callable[[], Image.Image] | None = None, turns: int | None = None,
    ):  # fmt: skip
        """`images` is the length of the run; in its first part only what is beyond doubt is told. `first` are findings
        before the first step; `draw` makes a picture of the shares of reals and of fakes; `conditional`: samples should
        be of the classes y; `setting`: the game may be changed; `ask`: what the players are
        asked; `strip` makes a picture of an example of each bin; `turns`: when so much was seen, another game begins,
        whose gradients do not compare with those before."""
        self.eyes, self.bench, self.z, self.y, self.first, self.draw = eyes, bench, z, y, first, draw
        self.ask, self.strip, self.turns = ask, strip, turns
        self.directions: Tensor | None = None  # of the map: a function of the reals
        self.asked = y if conditional else None
        self.watch = Watch(None if eyes is None else eyes.calibration, round(BURN_IN * images))
        self.before: Tensor | None = None  # features of G's samples at the look before, of the same latents
        self.treatment: Treatment | None = None
        if setting is not None:
            self.mend(setting, images)

    def observe(self, seen: int, signals: Mapping[str, float]) -> None:
        self.watch.heed(signals)

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        return None if self.treatment is None else self.treatment.propose(at, knobs)

    def mend(self, setting: Setting, images: int) -> None:
        """From now on."""
        self.treatment = Treatment(setting, self.watch, images, ladder_of(setting))

    def overruled(self, asked: Mapping[str, Any]) -> None:
        self.watch.turn()
        if self.treatment is not None:
            self.treatment.overruled(asked)

    def snapshots(self) -> Sequence[int]:
        return () if self.treatment is None else self.treatment.steps

    def forget(self, steps: Collection[int]) -> None:
        if self.treatment is not None:
            self.treatment.forget(steps)

    @torch.no_grad()
    def look(self, game: GAN) -> Sight:
        """At the samples of the average of G, at those of G itself, and at the players."""
        told: list[float] = []
        found, view = self.ask(game, self.bench), {}
        if self.eyes is not None:
            placed = self.eyes.place(drawn(game.sampler, self.z, self.y, self.bench.at_once))
            signals, told = self.eyes.judge(placed, self.asked)
            found |= signals | self.moved(game)
            view = self.charted(game, placed.features)
        news = self.watch.add(game.seen, found, told)
        if self.turns is not None and any(a.seen <= self.turns < b.seen for a, b in pairwise(self.watch.history[-2:])):
            self.watch.turn()
        ill = {finding.symptom: finding.severity for finding in reversed(self.watch.findings())}
        bins = self.strip() if self.strip and len(self.watch.history) == 1 else None
        return Sight(self.watch.history[-1].signals, told, news, ill, self.picture(told, news), view, bins)

    def charted(self, game: GAN, features: Tensor) -> dict[str, Any]:
        """A map of reals and samples by their features; of points in a plane, what D says there, too."""
        assert self.eyes is not None
        real = self.eyes.yardstick.real.features
        if self.directions is None:
            self.directions = principal(real[:POINTS])
        found: dict[str, Any] = {
            "map": charted(real, features, self.directions), "reals": [round(s, 5) for s in self.eyes.shares_of_reals]
        }  # fmt: skip
        if self.bench.train[0].shape[1:] == (2,):
            found["field"] = field(game.D, found["map"]["box"])
        return found

    def picture(self, told: Sequence[float], news: Sequence[Finding]) -> Image.Image | None:
        """Of the modes that are drawn and of those that are not, where a finding speaks of modes."""
        if self.draw is None or self.eyes is None or not {finding.symptom for finding in news} & OF_MODES:
            return None
        return self.draw(self.eyes.shares_of_reals, told)

    def beforehand(self) -> Sequence[Finding]:
        return self.first

    def told(self) -> str:
        return "" if self.watch.calibration is None else self.watch.calibration.told()

    def moved(self, game: GAN) -> dict[str, float]:
        """`motion`: how far samples of the same latents went since the look before, over how far reals lie apart."""
        assert self.eyes is not None
        with at_rest(game.G):
            now = self.eyes.place(drawn(game.G, self.bench.z, self.bench.y, self.bench.at_once)).features
        real, before, self.before = self.eyes.yardstick.real.features, self.before, now
        if before is None:
            return {}
        apart = (real - real.roll(1, 0)).norm(dim=1).mean()
        return {"motion": float((now - before).norm(dim=1).mean() / apart)}

    def facts(self) -> Mapping[str, Any]:
        calibration = self.watch.calibration
        return {} if calibration is None else calibration.to_json()

    def state_dict(self) -> dict[str, Any]:
        treatment = {} if self.treatment is None else {"treatment": self.treatment.state_dict()}
        return self.watch.state_dict() | {"before": self.before} | treatment

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.watch.load_state_dict(state)
        self.before = state["before"]
        if self.treatment is not None:
            self.treatment.load_state_dict(state["treatment"])


@dataclass(frozen=True)
class Beside(HandsOff):
    """The controller of a process beside the leader: it sees nothing, and keeps a place for what the leader sees."""

    mends: bool
    both_ways: bool = False

    def state_dict(self) -> dict[str, Any]:
        there: dict[str, Any] = {"history": [], "steps": [], "before": None}
        back = of_way_back(there) if self.both_ways else {}
        return there | back | ({"treatment": None} if self.mends else {})
