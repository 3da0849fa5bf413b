"""python benchmarks/metric_power.py [--mnist mnist.npz] [--trials 20]    which metric sees what, on real data.

Real images with a planted defect take the place of fakes, so that the truth is known. For each metric the limit is the
95% quantile of |figure - median| over draws of real against real, without replacement and with the same counts: a
detection rate of .05 is what chance gives. Which defects, and how they are made, is in `DEFECTS`.

MNIST: a classifier of its own labels learned from 30,000 training images; fakes and reals are 1,000 each of the other
40,000. Digits: of 1,797 images, 600 to learn from; 400 fakes and 400 reals of the rest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from record import Record, table
from torch import Tensor
from torch.nn.functional import conv2d

from equipoise import build
from equipoise.config import Arrays, Data, Digits
from equipoise.data.source import InMemory, Part, everything, to_uint8
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import chosen
from equipoise.encoders.looked import remembered
from equipoise.metrics import (
    Bins,
    binned,
    birthday,
    copy_rate,
    copying_test,
    effective_rank,
    feature_std,
    frechet_distance,
    inception_score,
    kernel_distance,
    pairwise_distance,
    prdc,
    two_sample_test,
    vendi_score,
)
from equipoise.sets import part_of
from equipoise.streams import Stream

T = TypeVar("T")

NULLS = 60  # draws of real against real


@dataclass(frozen=True)
class Seen:
    """Images, their classes, and what the encoder sees in them as they are and with the quality defects."""

    y: Tensor
    features: dict[str, Tensor]  # clean, blurred, noisy
    logits: dict[str, Tensor]
    near: Tensor  # of each image: its distance to the mean of its class, as a rank within it, 0..1


@dataclass(frozen=True)
class Setting:
    pool: Seen
    train: Tensor  # features
    train_logits: Tensor
    bins: Bins
    n: int


def noisy(x: Tensor) -> Tensor:
    """Normal noise of 20 of 255 grey levels."""
    noise = torch.randn(x.shape, generator=Stream(0, "noise").at(0)) * 20
    return (x.float() + noise).round().clamp(0, 255).to(torch.uint8)


def blurred(x: Tensor) -> Tensor:
    """Binomial filter of 3 pixels, once."""
    kernel = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    smooth = conv2d(x.float().flatten(0, 1)[:, None], kernel[None, None], padding=1)
    return smooth.view(x.shape).round().clamp(0, 255).to(torch.uint8)


QUALITY: dict[str, Callable[[Tensor], Tensor]] = {"clean": lambda x: x, "blurred": blurred, "noisy": noisy}


def looked_at(images: Tensor, y: Tensor, encoder: object, cache: Cache) -> Seen:
    looks = {name: remembered(encoder, change(images), cache, 500) for name, change in QUALITY.items()}  # type: ignore[arg-type]
    clean = looks["clean"].features
    near = torch.empty(len(y))
    for c in y.unique():
        members = (y == c).nonzero().flatten()
        distance = (clean[members] - clean[members].mean(0)).norm(dim=1)
        near[members] = distance.argsort().argsort().float() / len(members)
    logits = {name: look.logits for name, look in looks.items() if look.logits is not None}
    return Seen(y, {name: look.features for name, look in looks.items()}, logits, near)


# A defect is asked for the fakes: (setting, places in the pool that are free, generator) -> (features, logits)
Fakes = tuple[Tensor, Tensor]
Defect = Callable[[Setting, Tensor, torch.Generator], Fakes]


def clean(s: Setting, places: Tensor, quality: str = "clean") -> Fakes:
    return s.pool.features[quality][places], s.pool.logits[quality][places]


def nothing(s: Setting, free: Tensor, g: torch.Generator) -> Fakes:
    return clean(s, free[: s.n])


def dropped(share: float) -> Defect:
    """Whole classes are missing; of a part of a class, that part."""

    def defect(s: Setting, free: Tensor, g: torch.Generator) -> Fakes:
        classes = int(s.pool.y.max()) + 1
        order = torch.randperm(classes, generator=g)
        gone = share * classes
        kept = torch.ones(classes)
        kept[order[: int(gone)]] = 0
        if gone % 1:
            kept[order[int(gone)]] = 1 - gone % 1
        chance = torch.rand(len(free), generator=g)
        return clean(s, free[chance < kept[s.pool.y[free]]][: s.n])

    return defect


def shrunk(share: float) -> Defect:
    """Only those samples of each class that are nearest to its mean."""
    return lambda s, free, g: clean(s, free[s.pool.near[free] < share][: s.n])


def of_quality(quality: str) -> Defect:
    return lambda s, free, g: clean(s, free[: s.n], quality)


def copied(share: float) -> Defect:
    """So many of the fakes are training images."""

    def defect(s: Setting, free: Tensor, g: torch.Generator) -> Fakes:
        features, logits = clean(s, free[: s.n])
        k = round(share * s.n)
        of_train = torch.randperm(len(s.train), generator=g)[:k]
        return torch.cat([s.train[of_train], features[k:]]), torch.cat([s.train_logits[of_train], logits[k:]])

    return defect


def duplicated(share: float) -> Defect:
    """Only so many different samples, each of them again and again."""

    def defect(s: Setting, free: Tensor, g: torch.Generator) -> Fakes:
        few = free[: max(2, round(share * s.n))]
        return clean(s, few[torch.randint(len(few), (s.n,), generator=g)])

    return defect


DEFECTS: dict[str, Defect] = {
    "nothing": nothing,
    "drop 5% of classes": dropped(0.05), "drop 10%": dropped(0.1), "drop 20%": dropped(0.2), "drop 50%": dropped(0.5),
    "shrink: nearest 70% of each class": shrunk(0.7), "shrink: nearest 40%": shrunk(0.4),
    "blur": of_quality("blurred"), "noise": of_quality("noisy"),
    "copies of training images: 20%": copied(0.2), "copies: 100%": copied(1.0),
    "duplicates: 50% different": duplicated(0.5), "duplicates: 10% different": duplicated(0.1),
}  # fmt: skip


def figures(s: Setting, real: Tensor, fakes: Fakes) -> dict[str, float]:
    """Without intervals, which cost and are not asked for here."""
    fake, logits = fakes
    m = min(len(real), len(fake))
    in_balls = prdc(real[:m], fake[:m], subsamples=0)
    in_bins = binned(s.bins, real, fake, groups=0)
    return {
        "fd": frechet_distance(real, fake, groups=0).value,
        "kid": kernel_distance(real, fake, subsets=10, size=min(1000, m), groups=0).value,
        "is": inception_score(logits).value,
        **{name: getattr(in_balls, name).value for name in in_balls._fields},
        "ndb": in_bins.ndb.value,
        "jsd": in_bins.jsd.value,
        "vendi": vendi_score(fake, groups=0).value,
        "effective rank": effective_rank(fake, groups=0).value,
        "feature std": feature_std(fake, groups=0).value,
        "pairwise distance": pairwise_distance(fake, groups=0).value if len(fake) > 20 else 0.0,
        "copy rate": copy_rate(s.train, fake, real, groups=0).value,
        "C_T": copying_test(s.train, fake, real, groups=0).value,
        "birthday": birthday(real, fake, groups=0).chance.value,
        "two-sample": two_sample_test(real, fake).accuracy.value,
    }


def draw(s: Setting, name: str, index: int) -> dict[str, float]:
    g = Stream(0, f"power/{name}").at(index)
    order = torch.randperm(len(s.pool.y), generator=g)
    real, free = order[: s.n], order[s.n :]
    return figures(s, s.pool.features["clean"][real], DEFECTS[name](s, free, g))


def digits(cache: Cache) -> Setting:
    return setting(Digits(), cache, learn=600, n=400)


def setting(data: Data, cache: Cache, learn: int, n: int) -> Setting:
    splits = build.splits(data)
    everyone = part_of("all of it", splits, "all").samples
    x, y = everything(everyone)
    order = torch.randperm(len(y), generator=Stream(0, "power").at(0))
    learned, rest = order[:learn], order[learn:]
    images = to_uint8(x)
    encoder = chosen("classifier", train=Part(InMemory(images, y, int(y.max()) + 1), learned), track=said)
    print({k: encoder.protocol[k] for k in ("name", "accuracy")}, flush=True)
    train = remembered(encoder, images[learned[:10_000]], cache, 500)
    assert train.logits is not None
    pool = looked_at(images[rest], y[rest], encoder, cache)
    return Setting(pool, train.features, train.logits, Bins.fit(train.features, min(100, n // 10)), n)


def said(items: Iterable[T], label: str, count: int) -> Iterable[T]:
    print(f"{label}: {count}", flush=True)
    return items


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, cache = Record("metric_power"), Cache()
    settings: dict[str, Callable[[], Setting]] = {"digits": lambda: digits(cache)}
    if given.mnist:
        data = Arrays(path=str(given.mnist), size=28)
        settings["MNIST"] = lambda: setting(data, cache, learn=30_000, n=1000)
    for name, made in settings.items():
        key = {"set": name, "trials": given.trials, "nulls": NULLS}
        if not record.has(key):
            print(record.append(key, **power(made(), given.trials)), flush=True)


def power(s: Setting, trials: int) -> dict[str, object]:
    began = time.perf_counter()
    nulls = [draw(s, "nothing", -1 - i) for i in range(NULLS)]
    middle = {name: statistics.median(d[name] for d in nulls) for name in nulls[0]}
    limit = {name: float(torch.tensor([abs(d[name] - middle[name]) for d in nulls]).quantile(0.95)) for name in middle}
    rates: dict[str, dict[str, float]] = {}
    for defect in DEFECTS:
        found = [draw(s, defect, i) for i in range(trials)]
        rates[defect] = {n: sum(abs(d[n] - middle[n]) > limit[n] for d in found) / trials for n in middle}
        print(f"{time.perf_counter() - began:5.0f} s  {defect:36s} {rates[defect]}", flush=True)
    return {"n": s.n, "rates": rates, "real_against_real": middle, "seconds": round(time.perf_counter() - began)}


def report() -> None:
    """Detection rates: a line for each defect, a column for each metric."""
    for r in Record("metric_power").rows():
        names = list(r["rates"]["nothing"])
        table(
            f"metric_power.py, {r['key']['set']}: {r['n']} fakes and reals, {r['key']['trials']} trials",
            "defect | " + " | ".join(names),
            (
                f"{defect} | " + " | ".join(f"{rates[name]:.2f}".lstrip("0") for name in names)
                for defect, rates in r["rates"].items()
            ),
        )


if __name__ == "__main__":
    main()
