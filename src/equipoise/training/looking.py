"""What is seen of a run: findings, figures and pictures, and the best checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipoise.controller import Sight
from equipoise.diagnosis.finding import Finding
from equipoise.errors import StorageError
from equipoise.evaluation import Figures
from equipoise.pictures import Picture
from equipoise.probes.players import at_rest
from equipoise.probes.view import weights
from equipoise.progress import Reporter
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder
from equipoise.sitting import Stopwatch
from equipoise.training.run import Run


@dataclass(frozen=True)
class Unaveraged:
    """A game as whoever draws samples knows it, whose samples are those of G itself."""

    game: Any

    @torch.no_grad()
    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        with at_rest(self.game.G):
            x: Tensor = self.game.G(z, y)
        return x


def watched(run: Run[Any], clock: Stopwatch, report: Reporter) -> None:
    """Lets the controller look, and tells what it found: the leader looks, and all processes hear the same."""
    at = {"step": run.standing.step, "seen": run.game.seen}
    with clock.watching():
        sight = run.controller.look(run.game) if run.processes.leads else Sight()
    if sight.signals:
        shares = [round(share, 5) for share in sight.shares]
        run.events.append("look", **at, signals=sight.signals, shares=shares, ill=dict(sight.ill))
    news = [Finding(**raw) for raw in json.loads(run.processes.told(json.dumps([asdict(f) for f in sight.news])))]
    for finding in news:
        run.note(finding)
        report(run.game.seen, {}, f"{finding.severity}: {finding.symptom}: {finding.meaning}")
    if sight.picture is not None:
        keep(sight.picture, run.folder.missing_modes(run.standing.step))
    if run.processes.leads:
        if sight.bins is not None:
            keep(sight.bins, run.folder.bins)
        write_view(run.folder, {**at, **sight.view, "weights": weights(run.game.networks())})


def write_view(folder: RunFolder, view: Mapping[str, Any]) -> None:
    """Whole or not at all: somebody may be reading it."""
    temporary = folder.view.with_suffix(".writing")
    try:
        temporary.write_text(json.dumps(view), encoding="utf-8")
        temporary.replace(folder.view)
    except OSError as error:
        raise StorageError(f"cannot write {folder.view}: {error.strerror}. Free some space, then resume.") from error


def judged(run: Run[Any]) -> None:
    """Has the samples judged, and keeps the best checkpoint."""
    if not run.processes.leads:
        return
    verdict = run.judge.judge(run.game, run.standing.judged)
    at = {"step": run.standing.step, "seen": run.game.seen}
    if verdict.protocol:
        run.events.append("protocol", **at, part="validation", figures=verdict.protocol)
    for net, figures in verdict.figures.items():
        run.events.append("metrics", **at, net=net, part="validation", figures=brief(figures))
    if verdict.value is not None:
        run.standing.judged.append((run.game.seen, verdict.value))
    if verdict.finding:
        run.note(verdict.finding)
    if verdict.best:
        run.events.append("best", **at, value=verdict.value)
        keep_best(run)


def conclude(run: Run[Any]) -> None:
    """The final figures: of the best checkpoint's generators, against data that nothing was chosen by."""
    best = checkpoint.newest_first(run.folder.best)
    if not run.processes.leads or not best:
        return
    state, _ = checkpoint.load(best[0])
    nets = {name: copy.deepcopy(net) for name, net in run.game.averages().items()}
    for name, net in nets.items():
        net.load_state_dict(state[f"game.{name}"])
    at = {"step": checkpoint.step_of(best[0]), "seen": run.game.seen, "part": "test"}
    for told, figures in run.judge.final(nets).items():
        run.events.append("protocol", **at, figures={name: e.protocol for name, e in figures.items()})
        run.events.append("metrics", **at, net=told, figures=brief(figures))


def keep_best(run: Run[Any]) -> None:
    """One checkpoint: the older is deleted when the new one reads back."""
    path = checkpoint.save(
        run.folder.best, run.standing.step, run.registry().state(),
        seen=run.game.seen, snapshots=list(run.controller.snapshots()), **run.plan.facts,
    )  # fmt: skip
    checkpoint.verify(path)
    checkpoint.keep_only(run.folder.best, [run.standing.step])


def brief(figures: Figures) -> dict[str, dict[str, float | int | None]]:
    """Without their protocols, which stay the same: those are in the row `protocol` before the first."""
    return {
        name: {"value": e.value, "low": e.low, "high": e.high, "n_fake": e.n_fake, "n_real": e.n_real}
        for name, e in figures.items()
    }


def draw(run: Run[Any]) -> None:
    if not run.processes.leads:
        return
    keep(run.draw(run.game), run.folder.grid(run.standing.step))
    if run.reals is not None:
        keep(run.draw(Unaveraged(run.game)), run.folder.raw(run.standing.step))
        if not run.folder.reals.exists():
            keep(run.reals, run.folder.reals)


def keep(picture: Picture, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}. Free some space, then resume.") from error
