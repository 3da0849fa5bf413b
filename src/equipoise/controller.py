"""What the loop knows of whoever watches a run, and may turn its knobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from equipoise.diagnosis.finding import Finding, Severity
from equipoise.knobs import At, Change, Knobs


@dataclass(frozen=True)
class Sight:
    """What one look of the controller brought."""

    signals: Mapping[str, float] = field(default_factory=dict)
    shares: Sequence[float] = ()  # of the samples in each bin of the data
    news: Sequence[Finding] = ()
    ill: Mapping[str, Severity] = field(
        default_factory=dict
    )  # all symptoms that there are now, known or new: how severe
    picture: Image.Image | None = None  # of the modes that are missing, where that is news
    view: Mapping[str, Any] = field(default_factory=dict)  # for people who watch: see probes.view
    bins: Image.Image | None = None  # an example of each bin, at the first look


class Controller(Protocol):
    """Whoever watches a running game, and may change it: at most one change for each look."""

    def observe(self, seen: int, signals: Mapping[str, float]) -> None:
        """The signals of a recorded step."""
        ...

    def look(self, game: Any) -> Sight:
        """At the samples and the players; the game stays as it is."""
        ...

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        """What to change, after a look or when numbers are no longer finite. `knobs` are as they stand."""
        ...

    def overruled(self, asked: Mapping[str, Any]) -> None:
        """Somebody else has turned knobs to these values, after a look or between two."""
        ...

    def snapshots(self) -> Sequence[int]:
        """The steps whose state it may want to go back to."""
        ...

    def forget(self, steps: Collection[int]) -> None:
        """The states of these steps are lost: nothing can go back to them any more."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What its looks are worth, for the record."""
        ...

    def beforehand(self) -> Sequence[Finding]:
        """What is to be told before the first step."""
        ...

    def told(self) -> str:
        """What its looks are worth, in words; nothing where it does not look."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class HandsOff:
    """The controller that sees nothing and changes nothing."""

    def observe(self, seen: int, signals: Mapping[str, float]) -> None: ...

    def look(self, game: Any) -> Sight:
        return Sight()

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        return None

    def overruled(self, asked: Mapping[str, Any]) -> None: ...

    def snapshots(self) -> Sequence[int]:
        return ()

    def forget(self, steps: Collection[int]) -> None: ...

    def facts(self) -> Mapping[str, Any]:
        return {}

    def beforehand(self) -> Sequence[Finding]:
        return ()

    def told(self) -> str:
        return ""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
