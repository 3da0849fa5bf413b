"""python benchmarks/mri.py --mri lgg_128_60patients.npz [--part k/n] [--grids FOLDER]    pre-contrast MRI into FLAIR.

Slices at 64 pixels of 60 patients, the slices of a patient all in one part; nothing is chosen by the test patients.
Inside the head (where the given slice is brighter than 20 of 255): PSNR, and SSIM of the box around it with all outside
black; and the kernel distance to true FLAIR slices in features that were learned without labels on the training ones.
Each figure is the mean over the test patients, with its interval over them. Arms: pix2pix; its U-Net by L1 alone, the
control for the game; medical-translate, and its cascade by L1 alone; the given slice itself; and for each brightness
the median FLAIR value of the training slices, the control for the nets. With --weights SQUEEZENET.npz medical-translate
is also played with the perceptual terms of these.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from record import Record, table, with_interval
from torch import Tensor

from equipoise import build, configuring, generator, launch, pictures
from equipoise.data.sides import Side
from equipoise.data.source import Source, everything, scaled, to_uint8
from equipoise.encoders.choose import chosen
from equipoise.encoders.looked import looked
from equipoise.metrics import kernel_distance
from equipoise.metrics.estimate import by_mean
from equipoise.metrics.similarity import ssim
from equipoise.runs.folder import rows

SEEDS, KIMG, SIDE, HEAD = 3, 60, 64, 20
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]", f"kimg={KIMG}",
    "data.augment.flip_x=true", "nets.g_width=32", "nets.g_max_width=128", "nets.d_width=32", "nets.d_layers=2",
    "batch=8",
]  # fmt: skip


class Arm(NamedTuple):
    recipe: str
    settings: Sequence[str] = ()


ARMS = {
    "pix2pix": Arm("pix2pix"),
    "U-Net, L1 alone": Arm("pix2pix", ["knobs.adversarial=0"]),
    "medical-translate": Arm("medical-translate"),
    "cascade, L1 alone": Arm("medical-translate", ["knobs.adversarial=0", "knobs.features=0", "knobs.style=0"]),
}


def arms(weights: Path | None) -> dict[str, Arm]:
    """With given weights also the paper's terms, which take the features of a trained net in place of D's."""
    if weights is None:
        return ARMS
    terms = [f"given.path={weights.resolve()}", "knobs.content=1", "knobs.given_style=1", "knobs.style=0"]
    return ARMS | {"medical-translate, given weights": Arm("medical-translate", terms)}


def pairs(mri: Path, work: Path) -> Path:
    """Pre-contrast and FLAIR, with the patient of each slice. Where a patient has no pre-contrast series, the set has
    FLAIR in its place: these patients are left out."""
    path = work / "pre_flair.npz"
    if not path.exists():
        with np.load(mri, allow_pickle=False) as raw:
            x, patient = raw["images"], raw["patient"].reshape(-1)
        same = (x[..., 0] == x[..., 1]).all((1, 2)) & x[..., 1].any((1, 2))
        kept = ~np.isin(patient, np.unique(patient[same]))
        work.mkdir(parents=True, exist_ok=True)
        np.savez(path, a=x[kept, ..., 0], b=x[kept, ..., 1], group=patient[kept])
    return path


class Test:
    """The test slices: what is given, what is true, and whose they are."""

    def __init__(self, path: Path):
        config = configuring.configured("pix2pix", settings=of_pairs(path))
        data = build.splits(config.data)
        self.config, self.data = config, data
        x, _ = everything(data.test)
        self.given, self.true = x[:, : data.given], x[:, data.given :]
        self.head = (self.given + 1) * 127.5 > HEAD  # [N, 1, H, W]
        self.patient = patients(self.given, path)
        flair = Side(data.train, slice(data.given, None))
        self.encoder = chosen("self-supervised", train=flair)
        self.features = looked(self.encoder, to_uint8(self.true)).features

    def figures(self, made: Tensor) -> dict[str, Any]:
        each = {"psnr": inside_psnr(made, self.true, self.head), "ssim": inside_ssim(made, self.true, self.head)}
        found: dict[str, Any] = {name: over_patients(values, self.patient) for name, values in each.items()}
        kid = kernel_distance(self.features, looked(self.encoder, to_uint8(made)).features)
        return found | {"kid": [kid.value, kid.low, kid.high]}


def of_pairs(path: Path) -> list[str]:
    return ["data.kind=pairs", f"data.path={path}", f"data.size={SIDE}"]


def patients(given: Tensor, path: Path) -> list[str]:
    """Whose each test slice is: the set keeps groups apart, and does not tell them."""
    data = build.splits(configuring.configured("pix2pix", settings=of_pairs(path)).data)
    with np.load(path, allow_pickle=False) as raw:
        groups = [str(name) for name in raw["group"]]
    assert len(given) == len(data.test)
    indices: Tensor = data.test.indices  # type: ignore[attr-defined]
    return [groups[i] for i in indices.tolist()]


def inside_psnr(made: Tensor, true: Tensor, head: Tensor) -> Tensor:
    """In dB, of 255 levels. [N]; NaN where there is no head."""
    off = ((made - true) / 2).square() * head
    return -10 * torch.log10((off.flatten(1).sum(1) / head.flatten(1).sum(1)).clamp(min=1e-10))


def inside_ssim(made: Tensor, true: Tensor, head: Tensor) -> Tensor:
    """Of the box around the head, all outside the head black. [N]; NaN where the box is too small for the window."""
    found = []
    for m, t, h in zip(made, true, head, strict=True):
        rows_, columns = h[0].any(1).nonzero()[:, 0], h[0].any(0).nonzero()[:, 0]
        if len(rows_) < 11 or len(columns) < 11:
            found.append(torch.nan)
            continue
        box = slice(int(rows_[0]), int(rows_[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        a, b = (torch.where(h, x, -1.0)[:, box[0], box[1]][None] for x in (m, t))
        found.append(float(ssim(to_uint8(a), to_uint8(b))) if min(a.shape[2:]) >= 11 else torch.nan)
    return torch.tensor(found)


def over_patients(values: Tensor, patient: list[str]) -> list[float | None]:
    """The mean over patients of their means, with its 95% interval."""
    means = []
    for name in sorted(set(patient)):
        own = values[torch.tensor([p == name for p in patient])]
        own = own[own.isfinite()]
        if len(own):
            means.append(float(own.double().mean()))
    low, high = by_mean(torch.tensor(means, dtype=torch.float64))
    return [fmean(means), low, high]


def by_brightness(train: Source, given: int) -> Callable[[Tensor], Tensor]:
    """For each of 256 levels of the given slice the median of the true one at such pixels."""
    x, _ = everything(train)
    a, b = to_uint8(x[:, :given]).flatten().long(), x[:, given:].flatten()
    table = torch.zeros(256)
    for level in range(256):
        found = b[a == level]
        table[level] = found.median() if len(found) else table[max(0, level - 1)]
    return lambda picture: table[to_uint8(picture).long()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mri", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/mri"))
    parser.add_argument("--weights", type=Path, help="SqueezeNet's, for one arm more")
    parser.add_argument("--record", default="mri")
    parser.add_argument("--grids", type=Path, help="where a grid of seed 0 of each arm is put")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, path, (k, n) = Record(given.record), pairs(given.mri, given.work), map(int, given.part.split("/"))
    test = Test(path.resolve())
    table = by_brightness(test.data.train, test.data.given)
    for name, made in (("the given slice", test.given), ("median by brightness", table(test.given))):
        if not record.has(control := {"arm": name}):
            print(record.append(control, **test.figures(made), patients=len(set(test.patient))), flush=True)
    jobs = [(seed, *arm) for seed in range(SEEDS) for arm in arms(given.weights).items()]
    for seed, arm, how in jobs[k::n]:
        if record.has(key := {"arm": arm, "seed": seed}):
            continue
        config = configuring.configured(
            how.recipe, seed=seed, settings=[*of_pairs(path.resolve()), *SETTINGS, *how.settings]
        )
        with tempfile.TemporaryDirectory() as folder:
            run = launch.start(config, Path(folder) / "run")
            trained = generator.from_file(run.model)
            made = scaled(trained.made_of(build.dealt_of("pairs", trained.form, test.data.test)))
            figures = test.figures(made)
            record.append(key, **figures, clock=rows(run.clock)[-1])
        if given.grids and seed == 0:
            given.grids.mkdir(parents=True, exist_ok=True)
            some = torch.linspace(0, len(made) - 1, 24).long()
            shown = torch.stack([test.given[some], made[some], test.true[some]], 1).flatten(0, 1)
            pictures.grid(build.as_pixels(shown), 9).save(given.grids / f"mri-{arm.replace(', ', '-')}.png")
        print(key, figures, flush=True)


def report() -> None:
    if not (found := Record("mri").rows()):
        return
    table(
        "mri.py: pre-contrast into FLAIR, test patients",
        "arm, seed | PSNR in the head, dB | SSIM | KID",
        (
            f"{r['key']['arm']}, {r['key'].get('seed', '-')} | {with_interval(r['psnr'], 2)} "
            f"| {with_interval(r['ssim'])} | {with_interval(r['kid'], 4)}"
            for r in found
        ),
    )


if __name__ == "__main__":
    main()
