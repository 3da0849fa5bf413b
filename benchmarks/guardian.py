"""python benchmarks/guardian.py --shared DATA [--part k/n]    does the guardian's treatment help?

Tasks, each with its success defined before the runs; see `TASKS`. Arms: `off` (watched, nothing is changed), `on`,
`yoked` (the changes of another seed's `on` run, at its times), `random` (as many, of any kind, at any time),
`always-on` (relativistic, R1, R2, DiffAugment from the start); on T7 `rollback-only`, too, and `crossed` (the changes
of a run with another fault, which asks for the diagnosis; thought of after `yoked` was seen); on T2 and T3 `on` with a
part of its ladder: only what is found in samples or only what is found in the game is treated, no pairing, no going
back. All arms of a seed begin with the same weights and play the same number of real images, what is played again after
going back included.

Endpoints are taken by nets that the guardian never uses: for digits the digits' judge, for images a classifier of
another seed. At each of LOOKS looks both the endpoint and the Frechet distance in the features of a third classifier
are noted; by the latter FID-patience chooses its checkpoint of `off` (it stops after three looks above 1.25 times the
best). A judge is trained where the runs are played, and another kind of processor rounds otherwise: the same seed's net
saw the same pictures at half the Frechet distance there. So no task that is judged by distances is played on two kinds
of processors for one record; a second one has its own (--record), with all arms that are compared.

Seeds 0 to 9 are for development: the thresholds, the ladder and the tasks were chosen on them (T2: 0 to 3, 100, 101;
T3: 0, 1; T4: 0 to 2; T5: 0; T7: 100 to 104, on which it was seen that a run which is ill for most of its time forgot
its best snapshot; T7's NaN: 200 to 205, on which it was seen that the fault came again with each step, though it is to
come once). Results are of seeds from 100 on, of T2 and T7 from 200 on, of T7's NaN from 300 on.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from arms import ABLATIONS, LADDERS, AtRandom, Yoked, always_on
from detection import HINGE
from injection import FAULTS, SETTINGS, planted_at
from judge import Judge
from record import Record, hardware
from torch import Tensor, nn

from equipoise import build, configuring, launch
from equipoise.config import Arrays, TrainConfig, override
from equipoise.controller import Controller
from equipoise.data.hooks import untracked
from equipoise.data.source import Splits, scaled, to_uint8
from equipoise.data.toy import MIXTURES
from equipoise.encoders.classifier import trained_classifier
from equipoise.errors import Diverged, GaveUp
from equipoise.evaluation import Figures
from equipoise.games.base import Game
from equipoise.games.gan import GAN
from equipoise.guardian import OfGame, spread
from equipoise.judging import History, Verdict, at_rest
from equipoise.metrics import frechet_distance
from equipoise.metrics.modes import captured
from equipoise.onlookers import Onlookers
from equipoise.runs import checkpoint, folder
from equipoise.streams import Stream
from equipoise.training import train
from equipoise.training.run import Run

LOOKS, WATCHED = 20, 100  # of the independent judge and of the guardian, in a run
BATCH = 500  # samples drawn at a time
ARMS = ("off", "on", "yoked", "random", "always-on")
ABLATED = 6  # seeds of each ablation
FAR = 1e9  # the distance of a generator that is no longer finite
T = TypeVar("T")


Endpoint = dict[str, float]
Row = dict[str, Any]
Judging = Callable[[nn.Module, TrainConfig], Endpoint]


class Judges(NamedTuple):
    end: Judging
    at_looks: Judging
    fid: Judging  # what FID-patience goes by


@dataclass(frozen=True)
class Task:
    configured: Callable[[Path, int], TrainConfig]  # (folder of data, seed) -> all of it pinned
    judge: Callable[[Path, Splits], Judging]  # (folder of data, the run's) -> what a generator is worth
    fid: Callable[[Path, Splits], Judging]  # by which FID-patience chooses; the judge's nets are not asked
    succeeded: Callable[[Endpoint, Endpoint], bool]  # (its endpoint, the best one in the looks of `off`)
    value: str  # the endpoint that is compared, beside success
    seeds: int
    arms: tuple[str, ...] = ARMS
    fault: str = ""  # of benchmarks/injection.py
    first: int = 100  # seed
    at_looks: Callable[[Path, Splits], Judging] | None = None  # a quicker judge of the looks; none: the same

    def judges(self, shared: Path, data: Splits) -> Judges:
        end = self.judge(shared, data)
        return Judges(end, self.at_looks(shared, data) if self.at_looks else end, self.fid(shared, data))


def drawn(G: nn.Module, z_dim: int, n: int, seed: int = 0) -> Tensor:
    z = torch.randn(n, z_dim, generator=Stream(seed, "endpoint").at(0))
    with at_rest(G), torch.no_grad():
        return torch.cat([G(part, torch.zeros(len(part), dtype=torch.long)).float() for part in z.split(BATCH)])


# -- T2 and T3: modes are counted


def of_grid(shared: Path, data: Splits) -> Judging:
    mixture = MIXTURES["grid"]()

    def endpoint(G: nn.Module, config: TrainConfig) -> Endpoint:
        found = captured(drawn(G, config.nets.z_dim, 2500), mixture.centres, mixture.sigma)
        return {"modes": float(found.covered()), "high_quality": found.high_quality}

    return endpoint


@cache
def digits_judge() -> Judge:
    return Judge()


def of_stacks(shared: Path, data: Splits, n: int = 26_000) -> Judging:
    def endpoint(G: nn.Module, config: TrainConfig) -> Endpoint:
        return digits_judge().stacks(scaled(to_uint8(drawn(G, config.nets.z_dim, n))))

    return endpoint


FEWER_STACKS = partial(of_stacks, n=6_500)  # of 1,000 equal modes they miss 1.5 in the mean


# -- the others: distance to test images


PRACTICE = 60_000  # pictures that the judging classifier is shown, however few there are


def between(real: Tensor, fake: Tensor, see: Callable[[Tensor], Tensor]) -> float:
    """Frechet distance of features to what is seen of samples; those that are not finite, which as bytes would be black
    pictures, are far."""
    return frechet_distance(real, see(fake), groups=0).value if torch.isfinite(fake).all() else FAR


def of_images(shared: Path, data: Splits, net_seed: int = 4321, n: int = 2000) -> Judging:
    epochs = max(1.0, PRACTICE / len(data.train))
    net = trained_classifier(data.train, seed=net_seed, epochs=epochs, width=16, track=untracked)
    n = min(n, len(data.test))
    real = net.features(scaled(to_uint8(data.test.take(torch.arange(n))[0])))

    def endpoint(G: nn.Module, config: TrainConfig) -> Endpoint:
        seen = between(real, drawn(G, config.nets.z_dim, n), lambda fake: net.features(scaled(to_uint8(fake))))
        return {"distance": seen}

    return endpoint


def of_pneumonia(shared: Path, data: Splits, net_seed: int = 4321) -> Judging:
    """The judge has seen all pictures, also those that the run has not."""
    return of_images(shared, build.splits(Arrays(path=str(pictures(shared)), size=28)), net_seed)


def close(within: float) -> Callable[[Endpoint, Endpoint], bool]:
    return lambda end, best: end["distance"] <= within * best["distance"]


def of_points(shared: Path, data: Splits, n: int = 2500) -> Judging:
    """In their own coordinates."""
    real = data.train.take(torch.arange(n) % len(data.train))[0].double()

    def endpoint(G: nn.Module, config: TrainConfig) -> Endpoint:
        return {"distance": between(real, drawn(G, config.nets.z_dim, n), Tensor.double)}

    return endpoint


PATIENT = partial(of_images, net_seed=8765)  # the features of a third classifier
PATIENT_PNEUMONIA = partial(of_pneumonia, net_seed=8765)


# -- the configurations


def pinned(config: TrainConfig, seed: int, *settings: str) -> TrainConfig:
    """Nothing is left to the clock or the machine."""
    config = override(config, [
        f"seed={seed}", "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "machine.compile=false",
        *settings,
    ])  # fmt: skip
    every = {"guardian": WATCHED, "record": WATCHED, "evaluate": LOOKS, "samples": 4, "save": 10}
    config = override(config, [f"{name}.every_kimg={config.kimg / parts}" for name, parts in every.items()])
    return override(config, [f"evaluate.patience_kimg={config.kimg}"])


def grid_ns(shared: Path, seed: int) -> TrainConfig:
    """A small pair, the non-saturating loss and no penalty, with Adam as DCGAN has it: modes are lost for good. (With
    the recipe's own Adam the same loss was only slow: 18 to 25 modes at the end.)"""
    return pinned(
        configuring.configured("grid"), seed, "kimg=640", "knobs.loss=nonsaturating", "knobs.r1=0", "knobs.r2=0",
        "schedules={}", "nets.g_widths=[128,128,128]", "nets.d_widths=[128,128,128]", "knobs.g_lr=1e-3",
        "knobs.d_lr=1e-3", "optim.g.betas=[0.5,0.999]", "optim.d.betas=[0.5,0.999]",
    )  # fmt: skip


def stacked_ns(shared: Path, seed: int) -> TrainConfig:
    return pinned(configuring.configured("stacked-digits-ns"), seed)


def mnist_ns(shared: Path, seed: int) -> TrainConfig:
    """DCGAN without norms, N(0, .02), non-saturating: it needs norms, or a regularised game."""
    return pinned(
        configuring.configured("dcgan", data=str(shared / "mnist/mnist.npz")), seed, "kimg=256", "data.size=16",
        "nets.g_width=32", "nets.d_width=32", "nets.g_norm=none", "nets.d_norm=none", "nets.init=normal02",
        "knobs.loss=nonsaturating", "batch=64",
    )  # fmt: skip


def pneumonia(shared: Path, seed: int) -> TrainConfig:
    """200 X-ray pictures at 28 pixels: D learns them by heart."""
    return pinned(
        configuring.configured("digits", data=str(pictures(shared, 200))), seed, "kimg=512", "data.size=28",
        "knobs.loss=nonsaturating", "knobs.r1=0", "knobs.r2=0", "schedules={}", "knobs.g_lr=2e-4", "knobs.d_lr=2e-4",
    )  # fmt: skip


def pictures(shared: Path, n: int = 0) -> Path:
    """The first n, half of each class, or all, beside the held-out ones."""
    path = Path("runs/guardian-data") / f"pneumonia-{n or 'all'}.npz"
    if not path.exists():
        with np.load(shared / "pneumonia/pneumoniamnist_balanced.npz", allow_pickle=False) as raw:
            arrays = {name: array.squeeze() for name, array in raw.items()}
        y = arrays["train_labels"]
        chosen = np.sort(np.concatenate([np.flatnonzero(y == c)[: n // 2 if n else None] for c in (0, 1)]))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, x_train=arrays["train_images"][chosen], y_train=y[chosen],
            x_val=arrays["val_images"], y_val=arrays["val_labels"],
            x_test=arrays["test_images"], y_test=arrays["test_labels"],
        )  # fmt: skip
    return path


def injected(shared: Path, seed: int) -> TrainConfig:
    """As in benchmarks/injection.py."""
    return pinned(configuring.configured("digits", data=str(shared / "mnist/mnist.npz")), seed, *SETTINGS)


def healthy(recipe: str, shared: Path, seed: int) -> TrainConfig:
    if recipe == "hinge":
        return pinned(configuring.configured("hinge", data=str(shared / "mnist/mnist.npz")), seed, *HINGE)
    return pinned(configuring.configured(recipe), seed)


def most_of_the_grid(end: Endpoint, best: Endpoint) -> bool:
    """22 of 25 modes, and half of the points within 3 sigma."""
    return end["modes"] >= 22 and end["high_quality"] >= 0.5


def three_hundred(end: Endpoint, best: Endpoint) -> bool:
    """Of 1,000 modes, among 26,000 samples."""
    return end["modes"] >= 300


def most_modes(end: Endpoint, best: Endpoint) -> bool:
    return end["modes"] >= 0.97 * best["modes"]


TASKS: Mapping[str, Task] = {
    "T2 grid": Task(grid_ns, of_grid, of_points, most_of_the_grid, "modes", 20, (*ARMS, *ABLATIONS), first=200),
    "T3 stacked": Task(
        stacked_ns, of_stacks, PATIENT, three_hundred, "modes", 20, (*ARMS, *ABLATIONS), at_looks=FEWER_STACKS
    ),
    # with batch norm the same nets come to 10 in the same time, without it and left alone to 39 and 45 (seeds 0, 1)
    "T4 MNIST": Task(mnist_ns, of_images, PATIENT, lambda end, best: end["distance"] <= 25, "distance", 12),
    "T5 pneumonia": Task(pneumonia, of_pneumonia, PATIENT_PNEUMONIA, close(1.25), "distance", 12),
    "T6 digits": Task(partial(healthy, "digits"), of_images, PATIENT, close(1.25), "distance", 10, ("off", "on")),
    "T6 hinge": Task(partial(healthy, "hinge"), of_images, PATIENT, close(1.25), "distance", 10, ("off", "on")),
    "T6 stacked": Task(
        partial(healthy, "stacked-digits"), of_stacks, PATIENT, most_modes, "modes", 10, ("off", "on"),
        at_looks=FEWER_STACKS,
    ),
    **{
        f"T7 {fault}": Task(
            injected, of_images, PATIENT, close(1.5), "distance", 6, (*ARMS, "rollback-only", "crossed"), fault,
            first=300 if fault == "NaN in a gradient" else 200,
        )
        for fault in FAULTS
    },
}  # fmt: skip


# -- one run


class Looking:
    """The independent judge: it notes what the averaged generator is worth, and what FID-patience would see of it."""

    def __init__(self, judges: Judges, config: TrainConfig):
        self.judges, self.config = judges, config
        self.looks: list[tuple[int, Endpoint]] = []

    def judge(self, game: Game, history: History) -> Verdict:
        assert isinstance(game, GAN)
        G = deployed(game)
        fid = self.judges.fid(G, self.config)["distance"]
        self.looks.append((game.seen, self.judges.at_looks(G, self.config) | {"fid": fid}))
        return Verdict()

    def converged(self, history: History) -> bool:
        return False

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        return {}


def deployed(game: GAN) -> nn.Module:
    """The averaged generator as it would be used elsewhere: without what was hooked to it here."""
    G = copy.deepcopy(game.ema.net)
    for module in G.modules():
        module._forward_pre_hooks.clear()
    return G


def played(task: Task, arm: str, config: TrainConfig, out: Path, pair: Sequence[Row], judges: Judges) -> Row:
    shutil.rmtree(out, ignore_errors=True)  # of a benchmark that was killed
    mode = "on" if arm in LADDERS else "watch"
    data = build.splits(config.data)
    config = override(config, [f"guardian.mode={mode}"])
    if arm == "always-on":
        knobs = always_on(config.knobs, spread(data.train)[0], len(data.train.shape) == 3)
        config = config.model_copy(update={"knobs": knobs})
    run_folder = folder.create(config.recipe, out)
    launch.describe(run_folder, config)
    onlookers, judge, ended = Onlookers(config, data, torch.device("cpu")), Looking(judges, config), "played"
    with launch.assembled(config, run_folder, onlookers, controller(arm, config, onlookers, pair)) as run:
        run = replace(run, judge=judge)
        run.events.append("calibration", **run.controller.facts())
        if task.fault:
            FAULTS[task.fault].act(run, planted_at(config.seed, config.images))
        if arm in LADDERS:
            assert isinstance(run.controller, OfGame)
            assert run.controller.treatment is not None
            run.controller.treatment.ladder = LADDERS[arm]
            run.controller.treatment.goes_back = arm != "no going back"
        try:
            train(run)
        except (Diverged, GaveUp) as error:
            ended = type(error).__name__
        end = judges.end(deployed(run.game), config)
        kept = kept_end(run, judges, config) if ended == "Diverged" else {}
    rows = folder.rows(run_folder.events)
    changes = [row for row in rows if row["kind"] == "change"]
    clock = folder.rows(run_folder.clock)
    return kept | {
        "end": end,
        "ended": ended,
        "seen": run.game.seen,
        "looks": judge.looks,
        "changes": [{k: v for k, v in row.items() if k != "kind"} for row in changes],
        "found": [[row["seen"], row["symptom"], row["severity"]] for row in rows if row["kind"] == "finding"],
        "seconds": clock[-1].get("seconds") if clock else None,
    }


def kept_end(run: Run[Any], judges: Judges, config: TrainConfig) -> Row:
    """The endpoint of the newest checkpoint of a run whose numbers are no longer finite: what its user has of it."""
    found = checkpoint.newest_first(run.folder.checkpoints)
    if not found:
        return {}
    state, _ = checkpoint.load(found[0])
    G = deployed(run.game)
    G.load_state_dict(state["game.G_ema"])
    return {"end_of_checkpoint": judges.end(G, config)}


OWN = re.compile("undone|put back|nothing is left to be tried|at the end: ")  # no interventions that a finding asks for


def controller(arm: str, config: TrainConfig, onlookers: Onlookers, changes: Sequence[Row]) -> Controller | None:
    """`changes` are those of the pair."""
    if arm in ("yoked", "crossed"):
        return Yoked(changes)
    if arm == "random":
        begun = sum(not row["reason"].startswith("healthy") and not OWN.search(row["reason"]) for row in changes)
        return AtRandom(replace(onlookers.setting(), shares=()), begun, config.seed, config.images)
    return None


class Job(NamedTuple):
    task: str
    seed: int
    arm: str

    @property
    def key(self) -> Row:
        return self._asdict()


def plan(first: int | None, seeds: int) -> Iterator[Job]:
    """`on` and `off` of all seeds first, because the other arms need them."""
    for stage in (("on", "off"), ("always-on", "random", "yoked", "rollback-only", "crossed"), tuple(ABLATIONS)):
        for name, task in TASKS.items():
            count = seeds or (ABLATED if stage == tuple(ABLATIONS) else task.seeds)
            for seed in range(count):
                start = task.first if first is None else first
                yield from (Job(name, start + seed, arm) for arm in stage if arm in task.arms)


def pair_of(job: Job, jobs: Sequence[Job]) -> Job:
    """The `on` run of the next seed, in a circle; for `crossed` of the next fault, and the seed in the same place."""
    seeds = seeds_of(job.task, jobs)
    if job.arm != "crossed":
        return job._replace(seed=following(job.seed, seeds), arm="on")
    other = following(job.task, sorted(name for name, task in TASKS.items() if task.fault))
    return Job(other, seeds_of(other, jobs)[seeds.index(job.seed)], "on")


def seeds_of(task: str, jobs: Sequence[Job]) -> list[int]:
    return sorted({job.seed for job in jobs if job.task == task and job.arm == "on"})


def following(one: T, circle: Sequence[T]) -> T:
    return circle[(circle.index(one) + 1) % len(circle)]


def known(job: Job, rows: Mapping[Job, Row]) -> Row | None:
    """A run that was left alone is, to the bit, the run in which the guardian found nothing to change."""
    same = rows.get(job._replace(arm="on"))
    if job.arm != "off" or same is None or same["changes"]:
        return None
    return {name: same[name] for name in FIGURES} | {"same_as": "on"}


FIGURES = ("end", "ended", "seen", "looks", "changes", "found", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, required=True, help="holds mnist/ and pneumonia/")
    parser.add_argument("--first", type=int, help="seed; 0 to 9 are for development")
    parser.add_argument("--seeds", type=int, default=0, help="0: as many as the task asks for")
    parser.add_argument("--only", default="", help="tasks whose names begin so, with commas")
    parser.add_argument("--arms", default="", help="some of them, with commas")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th seed, from the k-th on")
    parser.add_argument("--play-all", action="store_true", help="also what is known to be the same as another run")
    parser.add_argument("--work", type=Path, default=Path("runs/guardian"))
    parser.add_argument("--record", default="guardian", help="name of the file in results/")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, (k, n) = Record(given.record), map(int, given.part.split("/"))
    jobs = list(plan(given.first, given.seeds))
    only, arms = tuple(given.only.split(",")), given.arms.split(",") if given.arms else None
    judges: dict[tuple[Any, ...], Judges] = {}
    for job in jobs:
        if job.seed % n != k or not job.task.startswith(only) or (arms and job.arm not in arms):
            continue
        rows = {Job(**row["key"]): row for row in record.rows()}
        if job not in rows:
            one_kind_of_processor(job.task, rows)
            found = None if given.play_all else known(job, rows)
            pair = rows.get(pair_of(job, jobs))
            if job.arm in ("yoked", "crossed", "random") and pair is None:
                print(f"{job}: its pair was not played yet", flush=True)
                continue
            found = found or prepared(job, given.shared, given.work, pair["changes"] if pair else (), judges)
            record.append(job.key, **found)
            told = {"end": found["end"], "ended": found["ended"], "changes": len(found["changes"])}
            print(json.dumps(job.key | told), f"{found['seconds'] or math.nan:.0f} s", flush=True)


def one_kind_of_processor(task: str, rows: Mapping[Job, Row]) -> None:
    """Raises SystemExit where distances would be compared that do not compare."""
    others = {row["hardware"] for job, row in rows.items() if job.task == task} - {hardware()}
    if others and TASKS[task].value == "distance":
        raise SystemExit(
            f"{task} was played on {', '.join(sorted(others))}, and this is {hardware()}:\n"
            "distances by judges of two kinds of processors do not compare.\n"
            "Name another --record, and play all arms there."
        )


def prepared(job: Job, shared: Path, work: Path, changes: Sequence[Row], judges: dict[tuple[Any, ...], Judges]) -> Row:
    """Plays a run; judges are trained once for all tasks that ask the same ones about the same data."""
    task = TASKS[job.task]
    config = task.configured(shared, job.seed)
    asked = (task.judge, task.at_looks, task.fid, repr(config.data))
    if asked not in judges:
        judges[asked] = task.judges(shared, build.splits(config.data))
    out = work / f"{job.task.replace(' ', '_').replace('/', '')}-{job.arm}-{job.seed}"
    return played(task, job.arm, config, out, changes, judges[asked])


if __name__ == "__main__":
    main()
