"""python benchmarks/injection.py --mnist mnist.npz [--seeds 12] [--work DIR]    faults planted in running games.

MNIST at 16 pixels, the recipe `digits` (an MLP, relativistic with R1 and R2), one thread, KIMG thousand images, a
minute. At a random time between 20 and 50% of the run something breaks, and stays broken unless it says otherwise.
Each run has a paired twin, which is the same to the bit until then. The verdicts that are accepted for each fault are
in `FAULTS`: they were committed before the runs.

A fault counts when it harms: by the Frechet distance to 2,000 test images in the features of a classifier that the
guardian never uses (another seed), taken LOOKS times in a run. Harm is a distance above HARM times the twin's at the
same time, in two looks in a row, or a run that diverged. Detected: a finding of the guardian (a warning or worse) after
the fault, that its twin has not. Right: one of the accepted verdicts is among these. A third of all runs are shams:
nothing breaks, and any warning after the time is a false alarm.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from record import Record, table, within
from replay import replayed
from torch import Tensor, nn

from equipoise import build, configuring, launch
from equipoise.config import TrainConfig
from equipoise.data.hooks import untracked
from equipoise.data.source import Source, everything, scaled, to_uint8
from equipoise.encoders.classifier import Classifier, trained_classifier
from equipoise.errors import Diverged
from equipoise.evaluation import Figures
from equipoise.forecast import resolve
from equipoise.games.base import Game
from equipoise.games.gan import GAN
from equipoise.guardian import OfGame
from equipoise.judging import History, Verdict, at_rest
from equipoise.metrics import frechet_distance
from equipoise.onlookers import Onlookers
from equipoise.runs import folder
from equipoise.streams import Stream
from equipoise.training import Run, train

RECIPE, KIMG, SIZE, LOOKS, TEST = "digits", 512, 16, 20, 2000
HARM, EARLY, LATE = 1.5, 0.2, 0.5
SETTINGS = [f"kimg={KIMG}", f"data.size={SIZE}", "machine.threads=1"]

Break = Callable[[Run[GAN], int], None]  # (run, images seen when it breaks)


def from_then(run: Run[GAN], at: int, act: Callable[[GAN], None]) -> None:
    """Does something to the game before each step from `at` on."""
    step = run.game.step

    def broken(reals: Any) -> Any:
        if run.game.seen >= at:
            act(run.game)
        return step(reals)

    run.game.step = broken  # type: ignore[method-assign]


def turned(**factors: float) -> Break:
    """Knobs times factors."""

    def act(game: GAN) -> None:
        game.knobs = game.knobs.model_copy(update={k: f * getattr(game.knobs, k) for k, f in factors.items()})

    return lambda run, at: from_then(run, at, act)


def latent_collapse(run: Run[GAN], at: int) -> None:
    """G, and its average, are fed z x .1."""

    def smaller(net: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return (args[0] * (0.1 if run.game.seen >= at else 1.0), args[1])

    for net in (run.game.G, run.game.ema.net):
        net.register_forward_pre_hook(smaller)


class Redirected:
    """A source that is asked for some samples and gives others."""

    def __init__(self, source: Source, choose: Callable[[Tensor], Tensor]):
        self.source, self.choose, self.shape, self.classes = source, choose, source.shape, source.classes

    def __len__(self) -> int:
        return len(self.source)

    def expect(self, indices: Tensor) -> None: ...

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.source.take(self.choose(indices))

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        return self.source.identity(indices)


def starved(run: Run[GAN], at: int) -> None:
    """D and G meet only the digits 0 to 4, for a quarter of the run; then all of them again."""
    until, y = at + run.plan.images // 4, everything(run.batches.source)[1]
    fed = (y < 5).nonzero().flatten()

    def choose(indices: Tensor) -> Tensor:
        starving = at <= run.game.seen < until
        return torch.where(y[indices] < 5, indices, fed[indices % len(fed)]) if starving else indices

    run.batches.source = Redirected(run.batches.source, choose)


def few_images(run: Run[GAN], at: int) -> None:
    """D's reals are always the same 100, and the guardian is told so: they are what it takes for training data."""
    x, y = run.batches.source.take(torch.arange(100))

    def told(game: GAN) -> None:
        if isinstance(run.controller, OfGame):
            run.controller.bench = replace(run.controller.bench, train=(x, y))

    run.batches.source = Redirected(run.batches.source, lambda i: i % 100 if run.game.seen >= at else i)
    from_then(run, at, told)


def not_a_number(run: Run[GAN], at: int) -> None:
    """One number of one gradient of G, once."""
    weight, spoilt = next(run.game.G.parameters()), list[int]()

    def spoiled(gradient: Tensor) -> Tensor:
        if run.game.seen < at or spoilt:
            return gradient
        spoilt.append(run.game.seen)
        gradient = gradient.clone()
        gradient.view(-1)[0] = torch.nan
        return gradient

    weight.register_hook(spoiled)


def nothing(run: Run[GAN], at: int) -> None: ...


@dataclass(frozen=True)
class Fault:
    act: Break
    accepted: tuple[str, ...]  # verdicts that name it, or what it must lead to


QUALITY = ("quality loss", "partial collapse", "total collapse")  # what goes wrong in the samples, whatever the cause
FAULTS: dict[str, Fault] = {
    "G's learning rate x 10": Fault(
        turned(g_lr=10.0), (*QUALITY, "D too weak", "cycling", "exploding gradients", "divergence")
    ),
    "D's learning rate x 10": Fault(
        turned(d_lr=10.0), (*QUALITY, "D too strong", "D too weak", "cycling", "exploding gradients", "divergence")
    ),
    "D frozen": Fault(turned(d_lr=0.0), (*QUALITY, "D too weak")),
    "z x .1": Fault(latent_collapse, ("partial collapse", "total collapse", "shrinkage")),
    "half of the classes starved": Fault(starved, ("partial collapse", "imbalance", "total collapse")),
    "NaN in a gradient": Fault(not_a_number, ("divergence",)),
    "D sees 100 images": Fault(few_images, ("D overfitting", "memorising", "partial collapse", "D too strong")),
}
SHAM = Fault(nothing, ())


class Independent:
    """A judge that the guardian knows nothing of: it only takes the distance, for the record."""

    def __init__(self, run: Run[GAN], config: TrainConfig, net: Classifier, real: Tensor):
        self.net, self.real = net, real
        self.z = torch.randn(TEST, config.nets.z_dim, generator=Stream(config.seed, "independent").at(0))
        self.distances: list[tuple[int, float]] = []

    @torch.no_grad()
    def judge(self, game: Game, history: History) -> Verdict:
        assert isinstance(game, GAN)
        with at_rest(game.ema.net):
            fake = torch.cat([game.sampler(z, torch.zeros(len(z), dtype=torch.long)) for z in self.z.split(500)])
        features = self.net.features(scaled(to_uint8(fake)))
        self.distances.append((game.seen, frechet_distance(self.real, features, groups=0).value))
        return Verdict()

    def converged(self, history: History) -> bool:
        return False

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        return {}


def harmed(run: dict[str, Any], twin: dict[str, Any]) -> bool:
    """Whether the run diverged, or its distances were above HARM times the twin's in two looks in a row."""
    pairs = zip(run["distances"], twin["distances"], strict=False)  # a run that diverged has fewer
    far = [a > HARM * b for (seen, a), (_, b) in pairs if seen > run["at"]]
    return run["diverged"] or any(map(all, pairwise(far)))


def alarms(run: dict[str, Any]) -> set[str]:
    """What was told after the fault, a warning or worse."""
    return {symptom for seen, symptom, severity in run["found"] if seen > run["at"] and severity != "note"}


@dataclass(frozen=True)
class Outcome:
    harmed: bool
    detected: bool  # something was told that the twin was not
    named: bool  # and one of the accepted verdicts is among it


def outcomes(rows: list[dict[str, Any]]) -> dict[str, list[Outcome]]:
    """By fault, of each seed that has a twin."""
    twins = {row["key"]["seed"]: row for row in rows if row["key"]["fault"] == "twin"}
    found: dict[str, list[Outcome]] = {name: [] for name in FAULTS}
    for row in rows:
        name, twin = row["key"]["fault"], twins.get(row["key"]["seed"])
        if name in FAULTS and twin:
            told = alarms(row) - alarms(twin)
            found[name].append(Outcome(harmed(row, twin), bool(told), bool(told & set(FAULTS[name].accepted))))
    return found


def planted_at(seed: int, images: int) -> int:
    share = torch.rand((), generator=Stream(seed, "injection").at(0)).item()
    return int(images * (EARLY + (LATE - EARLY) * share))


def played(config: TrainConfig, fault: Fault, out: Path, net: Classifier) -> dict[str, Any]:
    """One run: when it broke, what the guardian found, and how far from the test images its samples were."""
    cpu = torch.device("cpu")
    data = build.splits(config.data)
    run_folder = folder.create(config.recipe, out)
    launch.describe(run_folder, config)
    at = planted_at(config.seed, config.images)
    with launch.assembled(config, run_folder, Onlookers(config, data, cpu)) as run:
        x, _ = data.test.take(torch.arange(TEST))
        judge = Independent(run, config, net, net.features(scaled(to_uint8(x))))
        run = replace(run, judge=judge, plan=replace(run.plan, evaluate_every=config.images // LOOKS))
        run.events.append("calibration", **run.controller.facts())
        fault.act(run, at)
        diverged = False
        try:
            train(run)
        except Diverged:
            diverged = True
    looks = [row["seen"] for row in folder.rows(run_folder.events) if row["kind"] == "look"]
    return {"at": at, "found": replayed(out), "distances": judge.distances, "diverged": diverged, "looks": looks}


def resolved(config: TrainConfig, every: float) -> TrainConfig:
    """The same cadences for all runs, whatever the machine is busy with."""
    config, _ = resolve(Onlookers(config, build.splits(config.data), torch.device("cpu")))
    guardian = config.guardian.model_copy(update={"every_kimg": every})
    return config.model_copy(update={"guardian": guardian})


def plan(seeds: int) -> list[tuple[str, int]]:
    """Twins first; the shams are other seeds, each its own twin."""
    runs = [("twin", seed) for seed in range(seeds)]
    runs += [(name, seed) for seed in range(seeds) for name in FAULTS]
    shams = len(FAULTS) * seeds // 2  # a third of all runs that are no twins
    return runs + [("sham", 1000 + i) for i in range(shams)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=100, help="seed; 0 to 9 were used to choose the rules")
    parser.add_argument("--only", default="", help="one fault")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    parser.add_argument("--work", type=Path, default=Path("runs/injection"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, net = Record("injection"), None
    base = configuring.configured(RECIPE, data=str(given.mnist), settings=SETTINGS)
    k, n = map(int, given.part.split("/"))
    for name, seed in plan(given.seeds)[k::n]:
        seed += given.first
        key = {"fault": name, "seed": seed}
        if record.has(key) or (given.only and name != given.only):
            continue
        if net is None:
            data = build.splits(base.data)
            net = trained_classifier(data.train, seed=4321, epochs=1.0, width=16, track=untracked)
            settled = resolved(base, KIMG / WATCHED)
        out = given.work / f"{name.replace(' ', '_')}-{seed}"
        found = played(settled.model_copy(update={"seed": seed}), FAULTS.get(name, SHAM), out, copy.deepcopy(net))
        record.append(key, **found)
        print(key, found["found"], found["distances"][-1:], flush=True)


WATCHED = 25  # looks of the guardian in a run


def report() -> None:
    if not (rows := Record("injection").rows()):
        return
    found = outcomes(rows)
    everyone = [each for outcome in found.values() for each in outcome if each.harmed]
    table(
        "injection.py",
        "fault | runs | harmed | of these detected | and rightly named | unharmed, and told so",
        (
            f"{name} | {len(each)} | {sum(o.harmed for o in each)} | {sum(o.harmed and o.detected for o in each)} "
            f"| {sum(o.harmed and o.named for o in each)} | {sum(o.detected and not o.harmed for o in each)}"
            for name, each in found.items()
        ),
    )
    shams = [row for row in rows if row["key"]["fault"] in ("sham", "twin")]
    detected, named = sum(o.detected for o in everyone), sum(o.named for o in everyone)
    false = sum(bool(alarms(r)) for r in shams)
    print(
        f"\nHarmed {len(everyone)}, detected {detected} ({within(detected, len(everyone))}), rightly named {named} "
        f"({within(named, len(everyone))}). Runs without a fault: {len(shams)}, with an alarm after the time of one: "
        f"{false} ({within(false, len(shams))})."
    )


if __name__ == "__main__":
    main()
