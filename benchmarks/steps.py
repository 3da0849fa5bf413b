"""python benchmarks/steps.py [--only dcgan,sngan] [--rounds N]    a round of every image recipe, against a plain one.

One thread, fp32, the same nets and batch; the arms take turns, round by round, in one process. A round is `d_steps`
updates of D and one of G. Plain is Algorithm 1 with torch's own operators (`plain.gan_step`), without the average of G
and without the signals that ours has. On both sides without augmentation in front of D, path lengths, orthogonal
filters and FastGAN's reconstruction, which are terms and not nets.

The share of the peak is the arithmetic of our round (products and convolutions, a multiplication and an addition each)
over its time, over what the fastest convolution of this machine reaches within the same run: the same arithmetic for
both arms, for what a plain loop does in vain is no work. Where the nets are no convolutions it says little.

With --profile, where the time of our round goes, by parts and by operations.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import plain
import torch
from record import Record, table
from speed import timed
from torch import Tensor

from equipoise import build, profiling, reckoning
from equipoise.config import TrainConfig, override
from equipoise.data.source import InMemory, Splits
from equipoise.recipes import recipe

CPU = torch.device("cpu")
WITHOUT = ("augment_p=0", "augment_target=0", "path_length=0", "g_orthogonal=0", "reconstruction=0", "accumulate=1")
CASES: dict[str, tuple[str, int, int, list[str]]] = {  # recipe, side of pictures, batch, other settings
    "digits": ("digits", 16, 128, []),
    "cgan": ("cgan", 16, 128, []),
    "cgan-projection": ("cgan-projection", 16, 128, []),
    "acgan": ("acgan", 16, 128, []),
    "dcgan": ("dcgan", 32, 64, ["shared_fakes=false"]),
    "lsgan": ("lsgan", 32, 64, []),
    "wgan": ("wgan", 32, 16, []),
    "wgan-gp": ("wgan-gp", 32, 16, []),
    "hinge": ("hinge", 32, 64, []),
    "small-diffaugment": ("small-diffaugment", 32, 32, []),
    "sngan": ("sngan", 32, 16, []),
    "sagan": ("sagan", 64, 4, []),
    "biggan": ("biggan", 64, 4, ["nets.attention=32"]),
    "fastgan": ("fastgan", 64, 8, []),
    "stylegan2 without R1": ("stylegan2", 32, 16, ["knobs.r1=0"]),
    "stylegan2 with R1": ("stylegan2", 32, 16, ["knobs.r1_every=1"]),
    "r3gan-xs": ("r3gan-xs", 32, 16, []),
    "r3gan-s": ("r3gan-s", 32, 16, []),
}


def configured(case: str) -> TrainConfig:
    name, _, batch, settings = CASES[case]
    machine = ["machine.precision=fp32", "machine.compile=false", "machine.threads=1", f"batch={batch}"]
    return override(recipe(name), [*(f"knobs.{each}" for each in WITHOUT), *machine, *settings])


def noise(side: int, classes: int = 10, n: int = 512) -> Splits:
    """Pictures of noise: a step costs the same on any."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=generator)
    part = InMemory(x.permute(0, 3, 1, 2), torch.arange(n) % classes, classes)
    return Splits(part, part, part)


def ours(config: TrainConfig, data: Splits) -> Callable[[], object]:
    game, batches = build.game(config, build.form(config, data), CPU), build.batches(config, data, CPU)
    return lambda: game.step(batches)


def theirs(config: TrainConfig, data: Splits) -> Callable[[], object]:
    players = plain.Plain(config, build.form(config, data))
    x, y = data.train.take(torch.arange(len(data.train)))
    x = x.contiguous()

    def batches() -> tuple[Tensor, Tensor]:
        index = torch.randint(len(x), (config.batch,))
        return x[index], y[index]

    return lambda: plain.gan_step(players, config.knobs, batches)


def measured(case: str, rounds: int, record: Record) -> None:
    config, data = configured(case), noise(CASES[case][1])
    arms = {"plain": theirs(config, data), "equipoise": ours(config, data)}
    for step in arms.values():
        for _ in range(2):
            timed(step, CPU)  # the first one allocates
    with reckoning.Count() as count:
        arms["equipoise"]()
    peaks, seconds = [reckoning.paced().operations], {name: list[float]() for name in arms}
    for done in range(rounds):
        for name, step in arms.items():
            seconds[name].append(timed(step, CPU))
        peaks.append(reckoning.paced().operations)
        print(f"\r{case}: {done + 1} of {rounds} rounds", end="", flush=True)
    took = {name: statistics.median(each) for name, each in seconds.items()}
    pairs = sorted(a / b for a, b in zip(seconds["equipoise"], seconds["plain"], strict=True))
    row = record.append(
        {"case": case, "batch": config.batch, "side": CASES[case][1]},
        ms={name: round(1000 * each, 1) for name, each in took.items()},
        of_plain=round(took["equipoise"] / took["plain"], 3),
        middle_half=[round(pairs[len(pairs) // 4], 3), round(pairs[-1 - len(pairs) // 4], 3)],
        images_a_second=round(config.batch * config.knobs.d_steps / took["equipoise"], 1),
        gflop=round(count.operations / 1e9, 2), peak_gflops=round(max(peaks) / 1e9, 1),
        of_peak={name: round(count.operations / each / max(peaks), 3) for name, each in took.items()}, rounds=rounds,
    )  # fmt: skip
    print(
        f"\r{case:20s} {row['ms']['plain']:8.1f} and {row['ms']['equipoise']:8.1f} ms, {row['of_plain']:.2f} of plain "
        f"{row['middle_half']}, of the peak {row['of_peak']['plain']:.2f} and {row['of_peak']['equipoise']:.2f}"
    )


def profiled(case: str, record: Record) -> None:
    found = profiling.profiled(configured(case), noise(CASES[case][1]), CPU)
    share = {
        what: {name: round(ms / found.ms_per_step, 3) for name, ms in rows.items()}
        for what, rows in (("parts", found.parts), ("operations", found.operations))
    }
    record.append({"profile": case}, ms=round(found.ms_per_step, 1), **share)
    print(f"{case}: {share}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="cases, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="of each case, too")
    parser.add_argument("--record", default="steps", help="name of the file in results/")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(given.record)
    for case in given.only.split(",") if given.only else CASES:
        if not record.has({"case": case, "batch": CASES[case][2], "side": CASES[case][1]}):
            measured(case, given.rounds, record)
        if given.profile and not record.has({"profile": case}):
            profiled(case, record)


def report() -> None:
    """Of plain: the ratio of medians, and the middle half of the ratios of single rounds."""
    rows = Record("steps").rows()
    table(
        "steps.py",
        "case, side, batch | plain, ms | equipoise, ms | of plain | middle half | images a second "
        "| of the peak: plain, equipoise | rounds",
        (
            f"{r['key']['case']}, {r['key']['side']}, {r['key']['batch']} | {r['ms']['plain']:.0f} "
            f"| {r['ms']['equipoise']:.0f} | {r['of_plain']:.2f} | {r['middle_half'][0]:.2f} to "
            f"{r['middle_half'][1]:.2f} | {r['images_a_second']:.0f} | {r['of_peak']['plain']:.2f}, "
            f"{r['of_peak']['equipoise']:.2f} | {r['rounds']}"
            for r in rows
            if "case" in r["key"]
        ),
    )
    table(
        "steps.py: where the time of a round goes",
        "case | ms | parts | operations",
        (
            f"{r['key']['profile']} | {r['ms']:.0f} | {most(r['parts'])} | {most(r['operations'])}"
            for r in rows
            if "profile" in r["key"]
        ),
    )


def most(shares: dict[str, float], count: int = 3) -> str:
    """The largest."""
    largest = sorted(shares.items(), key=lambda named: -named[1])[:count]
    return ", ".join(f"{name} {share:.0%}" for name, share in largest)


if __name__ == "__main__":
    main()
