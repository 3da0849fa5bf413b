"""python benchmarks/domains.py --mnist mnist.npz [--part k/n] [--grids FOLDER]    digits into painted ones, and back.

MNIST at 16 pixels; domain A is the first half of the training digits in grey, domain B the second half painted in
colours on textured grounds (`data.painted`): no digit is in both, and no pairs are given. CycleGAN goes both ways in
one run; CUT in two. Three seeds, equal pictures, one thread.

Each way: `kept`, how often a classifier of the target domain (trained on its training pictures with their labels, which
no game sees) reads in the translation of a test digit the digit that it was made from; Frechet distance to other test
pictures of the target domain, over that of the pictures as they were before, in the features of a classifier that must
tell both the digit and the domain: one of digits alone takes no notice of colours and textures.
Controls: the pictures untranslated; one good picture of the target domain for all; reals of the target domain.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import Record
from torch import Tensor

from equipoise import build, configuring, generator, launch, pictures
from equipoise.config import TrainConfig
from equipoise.data.painted import painted
from equipoise.data.source import InMemory, scaled
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
from equipoise.games.cyclegan import BACK
from equipoise.games.dealing import Dealt
from equipoise.metrics import frechet_distance
from equipoise.runs.folder import RunFolder, rows

SEEDS, KIMG, SIDE, TESTS = 3, 100, 16, 2000
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]", f"kimg={KIMG}",
    "nets.g_width=32", "nets.blocks=4", "nets.d_width=32", "nets.d_layers=2", "batch=16",
]  # fmt: skip
ARMS = {"cyclegan": ("there", "back"), "cut": ("there",), "cut, swapped": ("back",)}  # the ways that each goes


class Domains:
    """Grey digits and painted ones, as files for the games and as tensors with labels for their judges."""

    def __init__(self, mnist: Path, work: Path):
        with np.load(mnist, allow_pickle=False) as raw:
            x, y = shrunk(raw["x_train"]), torch.from_numpy(raw["y_train"]).long()
            test, labels = shrunk(raw["x_test"]), torch.from_numpy(raw["y_test"]).long()
        half, n = len(x) // 2, TESTS
        grey, colour = x[:half].expand(-1, 3, -1, -1), painted(x[half:], seed=1)
        self.train = {"A": InMemory(grey, y[:half], 10), "B": InMemory(colour, y[half:], 10)}
        a, b = test[:n].expand(-1, 3, -1, -1), painted(test[n : 2 * n], seed=2)
        self.given = {"A": (scaled(a), labels[:n]), "B": (scaled(b), labels[n : 2 * n])}
        held = {"A": test[2 * n : 3 * n].expand(-1, 3, -1, -1), "B": painted(test[3 * n : 4 * n], seed=3)}
        self.real = {name: scaled(part) for name, part in held.items()}
        self.other = {
            "A": scaled(test[4 * n : 5 * n].expand(-1, 3, -1, -1)),
            "B": scaled(painted(test[4 * n :], seed=4)),
        }
        self.held_labels = {"A": labels[2 * n : 3 * n], "B": labels[3 * n : 4 * n]}
        self.paths = {name: work / f"{name}.npz" for name in "AB"}
        for name, path in self.paths.items():
            if not path.exists():
                work.mkdir(parents=True, exist_ok=True)
                np.savez(path, x=build.in_rows(self.train[name].x))


def shrunk(x: Any) -> Tensor:
    """uint8 [N, 28, 28] -> [N, 1, SIDE, SIDE]."""
    from torch.nn.functional import interpolate

    small = interpolate(torch.from_numpy(x)[:, None].float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)


class Judges:
    def __init__(self, domains: Domains):
        self.domains = domains
        self.nets: dict[str, Classifier] = {
            name: trained_classifier(part, seed=77, epochs=3, width=16) for name, part in domains.train.items()
        }
        self.accuracy = {
            name: accuracy(net, InMemory(domains.real[name], domains.held_labels[name], 10))
            for name, net in self.nets.items()
        }
        a, b = domains.train["A"], domains.train["B"]
        both = InMemory(torch.cat([a.x, b.x]), torch.cat([a.y, b.y + 10]), 20)
        self.seen_by = trained_classifier(both, seed=78, epochs=3, width=16)

    def figures(self, target: str, made: Tensor) -> dict[str, float]:
        """Of what was made of the test pictures of the other domain."""
        source = "AB".replace(target, "")
        before, labels = self.domains.given[source]
        reals = self.seen_by.features(self.domains.real[target])
        fd, untranslated = (frechet_distance(reals, self.seen_by.features(x)).value for x in (made, before))
        return {
            "kept": float((self.nets[target].classify(made) == labels).double().mean()),
            "fd": fd, "fd_untranslated": untranslated, "fd_ratio": fd / untranslated,
        }  # fmt: skip

    def controls(self, target: str) -> dict[str, dict[str, float]]:
        source, other = "AB".replace(target, ""), self.domains.other[target]
        return {
            "untranslated": self.figures(target, self.domains.given[source][0]),
            "one good picture": self.figures(target, other[:1].expand(TESTS, -1, -1, -1)),
            "reals of other digits": self.figures(target, other),
        }


def configured(arm: str, seed: int, domains: Domains) -> TrainConfig:
    recipe = arm.split(",")[0]
    swapped = [f"data.swap={str('swapped' in arm).lower()}"]
    data = ["data.kind=domains", f"data.path={domains.paths['A']}", f"data.to={domains.paths['B']}", *swapped]
    extra = ["nets.contrast=64"] if recipe == "cut" else []
    return configuring.configured(recipe, seed=seed, settings=[*data, *SETTINGS, *extra])


def translations(run: RunFolder, way: str, arm: str, domains: Domains) -> Tensor:
    """Of the test pictures of the domain that the way begins with."""
    source = "A" if way == "there" else "B"
    trained, _ = generator.from_run(run, "last", BACK if way == "back" and arm == "cyclegan" else "")
    x = domains.given[source][0]
    made = trained.made_of(Dealt(x, torch.zeros(len(x), dtype=torch.long), x))
    return scaled(made)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/domains"))
    parser.add_argument("--grids", type=Path, help="where grids of seed 0 are put")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, domains = Record("domains"), Domains(given.mnist, given.work)
    judges, (k, n) = Judges(domains), map(int, given.part.split("/"))
    for target in "AB":
        if not record.has(control := {"controls": target}):
            print(record.append(control, **judges.controls(target), accuracy=judges.accuracy[target]), flush=True)
    jobs = [(seed, arm) for seed in range(SEEDS) for arm in ARMS]
    for seed, arm in jobs[k::n]:
        if record.has(key := {"arm": arm, "seed": seed}):
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = launch.start(configured(arm, seed, domains), Path(folder) / "run")
            found = {}
            for way in ARMS[arm]:
                made = translations(run, way, arm, domains)
                found[way] = judges.figures("B" if way == "there" else "A", made)
                if given.grids and seed == 0:
                    draw(given.grids / f"{arm}-{way}.png", domains.given["A" if way == "there" else "B"][0], made)
            record.append(key, **found, clock=rows(run.clock)[-1])
        print(key, found, flush=True)


def draw(path: Path, before: Tensor, made: Tensor) -> None:
    """Before and after, beside each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    both = torch.stack([before[:48], made[:48]], 1).flatten(0, 1)
    pictures.grid(build.as_pixels(both), 12).save(path)


if __name__ == "__main__":
    main()
