"""Who looks on at a run, the judge and the guardian, and what they learn of the data before its first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from equipoise import build
from equipoise import config as c
from equipoise.config import override
from equipoise.controller import Controller, HandsOff
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Splits
from equipoise.diagnosis.remedies import Setting
from equipoise.encoders.choose import named
from equipoise.errors import ConfigError
from equipoise.games.cyclegan import BACK
from equipoise.guardian import Beside, OfGame
from equipoise.judging import Judge, Nobody, OfSamples
from equipoise.sight import Eyes
from equipoise.viewpoints import Viewpoint
from equipoise.ways import JudgedEachWay, WatchedEachWay

UNWATCHED = "nobody watches this run: train a new one with guardian.mode=watch, --from this one's weights"
FEWEST = 10  # held-out samples that a run is judged by


@dataclass(frozen=True)
class Onlookers:
    """Nothing of what they learn depends on the length of the run, which may be chosen by how long a look of theirs
    takes."""

    config: c.TrainConfig
    data: Splits
    device: torch.device
    lead: bool = True  # the process that they are of leads; beside it, nobody looks
    track: Track = untracked
    warn: Warn = unheard

    def require_known_features(self) -> None:
        """Raises ConfigError for features without a meaning, before anything is learnt."""
        for features in (self.config.evaluate.features, self.config.guardian.features):
            if features != "auto":
                named(features)

    @cached_property
    def form(self) -> build.Form:
        return build.form(self.config, self.data)

    @cached_property
    def there(self) -> Viewpoint:
        return self.viewpoint(self.form, "")

    @cached_property
    def back(self) -> Viewpoint:
        """Of a game that goes back, too."""
        return self.viewpoint(self.form.back, BACK)

    def viewpoint(self, form: build.Form, way: str) -> Viewpoint:
        reals = build.reals(self.config, form, self.data, way)
        return Viewpoint(self.config, form, self.data, reals, way, self.device, self.track, self.warn)

    def judge(self, patience_kimg: float) -> Judge:
        """Whoever judges the samples of a run that gives up after so long without a gain.

        Raises:
            ConfigError, DataError: for features that cannot be had for this data.
        """
        if not self.judges:
            return Nobody()
        patience = round(1000 * patience_kimg)
        there: OfSamples = replace(self.there.of_samples, patience=patience)
        return JudgedEachWay(there, self.back.of_samples) if self.config.play == "cycle" else there

    def guardian(self, images: int) -> Controller:
        """Whoever watches a run of so many images, and has seen nothing of it yet.

        Raises:
            ConfigError, DataError: for features that cannot be had for this data.
        """
        if self.config.guardian.mode == "off":
            return HandsOff()
        both = self.config.play == "cycle"
        if not self.lead:
            return Beside(self.mends, both)
        setting = self.setting() if self.mends else None
        if both:
            return WatchedEachWay(self.there.of_game(images), self.back.of_game(images), images, setting)
        watching: OfGame = self.there.of_game(images, setting=setting)
        return watching

    @cached_property
    def judges(self) -> bool:
        """Whether somebody judges the run. Where held-out samples are too few, that is said."""
        if not (self.lead and self.config.evaluate.metrics):
            return False
        if (held_out := self.there.most) < FEWEST:
            self.warn(
                f"too few samples are held out to judge a run by ({held_out}; {FEWEST} at least, which sets of "
                f"{10 * FEWEST} have):\nits last checkpoint is taken for its best."
            )
            return False
        return True

    @property
    def mends(self) -> bool:
        return self.config.guardian.mode == "on"

    def setting(self) -> Setting:
        """What a remedy must know of the game; the bins of the way back behind those of the way there."""
        setting = self.there.setting()
        return setting if len(self.ways) == 1 else replace(setting, shares=[p for way in self.ways for p in way.shares])

    @property
    def ways(self) -> tuple[Viewpoint, ...]:
        return (self.there, self.back) if self.config.play == "cycle" else (self.there,)

    @property
    def eyes(self) -> Eyes | None:
        return self.there.eyes

    def bins(self) -> dict[int, list[int]]:
        """The training samples of each bin, as far as the guardian knows them; none where nobody may ask for them."""
        return self.bins_of_data() if self.lead and (self.mends or self.config.knobs.focus) else {}

    def require_watched(self) -> None:
        """Raises ConfigError where nobody watches."""
        if self.config.guardian.mode == "off":
            raise ConfigError(UNWATCHED)

    def mending(self, controller: Controller, images: int, processes: int) -> None:
        """Lets a guardian that watches mend, from now on.

        Raises:
            ConfigError: where nobody watches, where a remedy would break the game, or where several processes play,
                whose guardians must agree from the start.
        """
        if self.mends:
            return  # from the start, in every process
        if processes > 1:
            raise ConfigError("of several processes each would have to know from the start: train with --guardian on")
        if not isinstance(controller, OfGame | WatchedEachWay):
            raise ConfigError(UNWATCHED)
        if controller.treatment is None:
            override(self.config, ["guardian.mode=on"])  # refuses what would be refused from the start
            controller.mend(self.setting(), images)

    def bins_of_data(self) -> dict[int, list[int]]:
        """As `bins`, whoever may change the run."""
        found: list[list[int]] = []
        for way in self.ways:
            found += way.members()
        return dict(enumerate(found))
