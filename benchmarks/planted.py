"""python benchmarks/planted.py --data SHARED    faults planted in MNIST, and how many of them `data check` finds.

The first 10,000 training images (or --count), written as PNG files into class folders. Planted in each seed: 50 exact
duplicates; 50 near duplicates (ten each: JPEG of quality 60 to 90, noise of sigma 4/255, brightness and contrast by .9
to 1.1, resized to 3/4 and back, shifted by one pixel); 50 labels replaced by a random other class; 20 outliers (five
each: noise, inverted digits, CIFAR-10 in grey, Omniglot characters); 20 broken files (truncated, empty, text).
Thresholds were chosen on seeds 10 to 12; the seeds of the record are 0 to 2. MNIST has faults of its own, so that the
precision printed here is a lower bound: look at the sheets of what else was found (--sheets FOLDER).

SHARED holds mnist/mnist.npz, cifar10/cifar10_jpeg.zip and omniglot/images_background_small1.zip.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from record import Record, Row, table

from equipoise.cleaning.check import check
from equipoise.cleaning.findings import Checked, Finding
from equipoise.data.gathered import Gathered, gather
from equipoise.pictures import grid

Pixels = NDArray[np.uint8]
NEAR = ("jpeg", "noise", "brightness", "resized", "shifted")
ODD = ("noise", "inverted", "photo", "letter")


@dataclass
class Planted:
    """Images [N, 28, 28] with labels [N]; what was done, by kind: places of the planted image (and of its original)."""

    images: Pixels
    labels: NDArray[np.int64]
    exact: list[tuple[int, int]] = field(default_factory=list)
    near: dict[tuple[int, int], str] = field(default_factory=dict)
    wrong: dict[int, int] = field(default_factory=dict)  # place -> its true label
    odd: dict[int, str] = field(default_factory=dict)


def planted(images: Pixels, labels: NDArray[np.int64], shared: Path, seed: int) -> Planted:
    """The images with copies and strangers added at the end, and labels changed among the first."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(images))
    found = Planted(images, labels.copy())
    added: list[Pixels] = []
    classes: list[int] = []
    for place in places[:50]:
        found.exact.append((len(images) + len(added), int(place)))
        added.append(images[place])
        classes.append(labels[place])
    for i, place in enumerate(places[50:100]):
        found.near[len(images) + len(added), int(place)] = NEAR[i % 5]
        added.append(copy(images[place], NEAR[i % 5], rng))
        classes.append(labels[place])
    for i in range(20):
        found.odd[len(images) + len(added)] = ODD[i % 4]
        added.append(stranger(ODD[i % 4], images[places[200 + i]], shared, rng))
        classes.append(int(rng.integers(10)))
    for place in places[100:150]:
        found.wrong[int(place)] = int(labels[place])
        found.labels[place] = (labels[place] + rng.integers(1, 10)) % 10
    found.images = np.concatenate([images, np.stack(added)])
    found.labels = np.concatenate([found.labels, np.array(classes)])
    return found


def copy(image: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    values = image.astype(np.float64)
    match kind:
        case "jpeg":
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(60, 91)))
            return np.asarray(Image.open(file, formats=("JPEG",)))
        case "noise":
            values = values + rng.normal(0, 4, image.shape)
        case "brightness":
            values = (values - 128) * rng.uniform(0.9, 1.1) + 128 * rng.uniform(0.9, 1.1)
        case "resized":
            small = Image.fromarray(image).resize((21, 21), Image.Resampling.LANCZOS)
            return np.asarray(small.resize((28, 28), Image.Resampling.BICUBIC))
        case "shifted":
            dy, dx = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)][rng.integers(8)]
            values = np.roll(values, (dy, dx), (0, 1))
    return values.round().clip(0, 255).astype(np.uint8)


def stranger(kind: str, image: Pixels, shared: Path, rng: np.random.Generator) -> Pixels:
    match kind:
        case "noise":
            return rng.integers(0, 256, (28, 28), dtype=np.uint8)
        case "inverted":
            return 255 - image
        case "photo":
            picture = member(shared / "cifar10/cifar10_jpeg.zip", rng).convert("L")
            return np.asarray(picture.resize((28, 28), Image.Resampling.LANCZOS))
        case _:  # strokes made as thick as those of a digit, white on black, in the frame of 20 pixels that MNIST uses
            drawn = ImageOps.invert(member(shared / "omniglot/images_background_small1.zip", rng).convert("L"))
            drawn = drawn.filter(ImageFilter.MaxFilter(7)).resize((20, 20), Image.Resampling.LANCZOS)
            return np.asarray(ImageOps.expand(drawn, 4))


def member(archive: Path, rng: np.random.Generator) -> Image.Image:
    """One picture of a zip, at random."""
    with ZipFile(archive) as content:
        names = [name for name in content.namelist() if name.lower().endswith((".jpg", ".png"))]
        return Image.open(io.BytesIO(content.read(names[rng.integers(len(names))]))).copy()


def written(faulty: Planted, folder: Path, rng: np.random.Generator) -> None:
    """PNG files in class folders, and 20 that cannot be read."""
    for i, (image, label) in enumerate(zip(faulty.images, faulty.labels, strict=True)):
        path = folder / str(label) / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    for i in range(20):
        label = rng.integers(10)
        whole = next((folder / str(label)).glob("0*.png")).read_bytes()
        content = [whole[: len(whole) // 2], b"", b"not a picture\n"][i % 3]
        (folder / str(label) / f"broken{i}.png").write_bytes(content)


def judged(faulty: Planted, checked: Checked, data: Gathered) -> dict[str, dict[str, float]]:
    """Precision against what was planted (a lower bound where there are natural faults), recall, and counts."""
    found = {finding.kind: finding for finding in checked.findings}
    strange = set(faulty.odd)
    pairs = {"duplicates": set(faulty.exact), "near-duplicates": set(faulty.near)}
    rows = {kind: of_pairs(found.get(kind), planted) for kind, planted in pairs.items()}
    rows["labels"] = of_places(found.get("labels"), set(faulty.wrong), apart=strange)
    rows["outliers"] = of_places(found.get("outliers"), strange)
    bad = set(data.bad)
    hits = sum("broken" in name for name in bad)
    rows["unreadable"] = {"precision": hits / max(len(bad), 1), "recall": hits / 20, "found": len(bad), "planted": 20}
    return rows


def of_places(finding: Finding | None, planted: set[int], apart: Collection[int] = ()) -> dict[str, float]:
    """Those `apart` count neither way: the label of a planted stranger is wrong, but was not planted as such."""
    called = {number(item.names[0]) for item in finding.items} - set(apart) if finding else set()
    return figures(len(called & planted), len(called), len(planted))


def of_pairs(finding: Finding | None, planted: set[tuple[int, int]]) -> dict[str, float]:
    """A pair is found when one group holds both; what is called are all but the first of each group."""
    groups = [{number(name) for name in item.names} for item in finding.items] if finding else []
    hits = sum(any({a, b} <= group for group in groups) for a, b in planted)
    right = sum(len(group) - 1 for group in groups if any({a, b} <= group for a, b in planted))
    called = sum(len(group) - 1 for group in groups)
    return figures(hits, called, len(planted)) | {"precision": right / max(called, 1)}


def figures(hits: int, called: int, planted: int) -> dict[str, float]:
    return {"precision": hits / max(called, 1), "recall": hits / planted, "found": called, "planted": planted}


def number(name: str) -> int:
    return int(Path(name).stem)


def missed(faulty: Planted, checked: Checked) -> dict[str, dict[str, int]]:
    """Near duplicates and outliers that were not found, by kind."""
    found = {finding.kind: finding for finding in checked.findings}
    together = [{number(n) for n in item.names} for item in found["near-duplicates"].items]
    odd = {number(item.names[0]) for item in found["outliers"].items} if "outliers" in found else set()
    near = [kind for (a, b), kind in faulty.near.items() if not any({a, b} <= group for group in together)]
    return {
        "near-duplicates": Counter(near),
        "outliers": Counter(kind for place, kind in faulty.odd.items() if place not in odd),
    }  # fmt: skip


def natural(faulty: Planted, checked: Checked, data: Gathered, sheets: Path, seed: int) -> dict[str, list[str]]:
    """What was found and not planted, by name, with a sheet of each kind to look at."""
    known = {
        "labels": lambda names: number(names[0]) in {*faulty.wrong, *faulty.odd},
        "outliers": lambda names: number(names[0]) in faulty.odd,
        "near-duplicates": lambda names: any({a, b} <= {number(n) for n in names} for a, b in faulty.near),
    }  # fmt: skip
    others: dict[str, list[str]] = {}
    for finding in checked.findings:
        is_planted: Callable[[list[str]], bool] = known.get(finding.kind, lambda names: True)
        items = [item for item in finding.items if not is_planted(item.names)]
        others[finding.kind] = [f"{' = '.join(item.names)} {item.note}".strip() for item in items]
        if items:
            sheets.mkdir(parents=True, exist_ok=True)
            shown = data.images[[place for item in items for place in item.places]]
            grid(shown).save(sheets / f"{finding.kind}_{seed}.png")
    return {kind: names for kind, names in others.items() if names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sheets", type=Path, default=Path("sheets"))
    asked = parser.parse_args()
    with np.load(asked.data / "mnist/mnist.npz", allow_pickle=False) as mnist:
        images, labels = mnist["x_train"][: asked.count], mnist["y_train"][: asked.count].astype(np.int64)
    record = Record("planted")
    for seed in asked.seeds:
        key = {"set": f"the first {asked.count} training images of MNIST", "seed": seed}
        if record.has(key):
            continue
        faulty = planted(images, labels, asked.data, seed)
        with tempfile.TemporaryDirectory() as folder:
            written(faulty, Path(folder), np.random.default_rng(seed))
            start = time.perf_counter()
            data = gather(Path(folder))
            checked = check(data)
            seconds = round(time.perf_counter() - start, 1)
        rows = judged(faulty, checked, data)
        others = natural(faulty, checked, data, asked.sheets, seed)
        left = missed(faulty, checked)
        tuned = seed >= 10
        row = {"seconds": seconds, "mirror": checked.facts["mirror"], "missed": left, "not_planted": others}
        print(key, rows, row, flush=True)
        if not tuned:
            record.append(key, by_kind=rows, **row)


def report() -> None:
    kinds = ("unreadable", "duplicates", "near-duplicates", "labels", "outliers")

    def cell(found: Row) -> str:
        return f"{found['precision']:.2f} / {found['recall']:.2f}"

    table(
        "planted.py: precision / recall",
        "set, seed | " + " | ".join(kinds) + " | s",
        (
            f"{r['key']['set']}, {r['key']['seed']} | {' | '.join(cell(r['by_kind'][k]) for k in kinds)} "
            f"| {r['seconds']:.0f}"
            for r in Record("planted").rows()
        ),
    )


if __name__ == "__main__":
    main()
