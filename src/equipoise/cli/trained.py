"""The verbs on what was trained: sample, walk, project, translate, restyle, judge, directions, export. torch is
imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Generator = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or a .safetensors file.")]
Run = Annotated[Path, typer.Argument(help="A run folder.")]
Seed = Annotated[int, typer.Option(min=0)]
SeedIfAny = Annotated[int | None, typer.Option(min=0, help="[0]")]
Label = Annotated[int | None, typer.Option("--class", help="One class only.")]
Window = Annotated[tuple[float, float] | None, typer.Option(help="What is black and white in scans [percentiles].")]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step.")]


def sample(
    run: Generator,
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many [64].")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", help="grid.png, samples.npz, lines.txt, or a folder [samples.png, or stdout].")
    ] = None,
    seed: SeedIfAny = None,
    label: Label = None,
    checkpoint: Checkpoint = "last",
    truncation: Annotated[
        float | None,
        typer.Option(
            help="Less variety, fewer bad pictures: styles at this share of the way from their mean (StyleGAN2; 1: as "
            "they are), or latents from within so much of 0 (other nets; BigGAN's truncated normal). About 0.7."
        ),
    ] = None,
    mix: Annotated[
        int | None,
        typer.Option(help="A table: so many coarse styles of the rows, the others of the columns (StyleGAN2)."),
    ] = None,
    latent: Annotated[Path | None, typer.Option(help="Latents from a file, such as project writes.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sentences: below 1 fewer mistakes and less variety.")
    ] = None,
    begin: Annotated[str | None, typer.Option(help="How each sentence begins.")] = None,
    bits: Annotated[
        int, typer.Option(min=8, max=16, help="16: grey slices in all levels, as .nii.gz, .npz, .npy or a folder.")
    ] = 8,
) -> None:
    """Draws samples from a trained generator."""
    from equipoise.cli import use

    trained = use.opened(run, checkpoint)
    use.require_one(mix=mix, latent=latent, truncation=truncation)
    use.require_bits(bits, {"--mix": mix, "--latent": latent, "--temperature": temperature, "--begin": begin})
    if temperature is not None or begin is not None or trained.form.vocabulary is not None:
        use.require_unasked("sentences", {"--mix": mix, "--latent": latent, "--truncation": truncation})
        use.write(trained, n or 64, out, seed or 0, label, temperature, begin)
        return
    out = out or Path("samples.png" if bits == 8 else "samples.nii.gz")
    if mix is not None:
        use.mix(trained, n or 64, out, seed or 0, label, mix)
    elif latent is not None:
        use.require_unasked("--latent", {"-n": n, "--class": label, "--seed": seed})
        use.sample_latents(trained, latent, out)
    elif bits > 8:
        use.sample_levels(trained, run, n or 64, out, seed or 0, label, truncation)
    else:
        use.sample(trained, n or 64, out, seed or 0, label, truncation)


def walk(
    run: Generator,
    out: Annotated[Path, typer.Option("-o", help=".gif, .webp, or .mp4 where ffmpeg is installed.")] = Path("walk.gif"),
    n: Annotated[int | None, typer.Option("-n", min=1, help="Samples side by side [16].")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Of the whole, with a new sample every 2 s.")] = 8,
    fps: Annotated[int, typer.Option(min=1, max=60, help="Pictures a second.")] = 20,
    seed: SeedIfAny = None,
    label: Label = None,
    start: Annotated[Path | None, typer.Option("--from", help="Latents to begin with, such as project writes.")] = None,
    to: Annotated[Path | None, typer.Option(help="Latents to end with.")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Draws what lies between samples, as an animation that returns to its beginning."""
    from equipoise.cli import use

    if start or to:
        use.require_unasked("--from and --to", {"-n": n, "--class": label, "--seed": seed})
    use.walk(use.opened(run, checkpoint), out, n or 16, (seconds, fps), seed or 0, label, (start, to))


def project(
    run: Generator,
    picture: Annotated[Path, typer.Argument(help="What to look for.")],
    out: Annotated[Path, typer.Option("-o", help="The picture beside what was found; latents beside it.")] = Path(
        "projected.png"
    ),
    seed: Seed = 0,
    label: Label = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Looks for the latents behind a picture, by gradient descent."""
    from equipoise.cli import use

    use.project(use.opened(run, checkpoint), picture, out, seed, label)


def translate(
    run: Generator,
    given: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A picture, a folder, .zip or .parquet of them, or scans.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", help="A picture, or a folder [translated.png; of many: translated].")
    ] = None,
    style: Annotated[Path | None, typer.Option(help="A picture whose style the others are given (stylize).")] = None,
    mask: Annotated[
        Path | None, typer.Option(help="White where holes are to be filled [what is transparent] (inpaint).")
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="From B to A (cyclegan).")] = False,
    window: Window = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Translates or restores pictures of any size, and scans with all of their levels."""
    from equipoise.cli import translation

    translation.translate(run, given, out, style, mask, back, window, checkpoint)


def restyle(
    run: Generator,
    to: Annotated[str, typer.Option(help="The style: a name of the files that it was learned from.")],
    out: Annotated[Path | None, typer.Option("-o", help="A .txt file [stdout].")] = None,
    checkpoint: Checkpoint = "best",
) -> None:
    """Tells the sentences of stdin in another style, a line for each line."""
    from equipoise.cli import use

    use.restyle(use.opened(run, checkpoint), to, out)


Rules = Annotated[Path | None, typer.Option(help="YAML: what experts ask of a mask (see docs/how-to/medical.md).")]


def add(
    run: Generator,
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="A healthy slice: a picture, or a DICOM series.")],
    mask: Annotated[Path, typer.Option(help="Where the lesion shall be: a picture, NIfTI or .npy, of the same size.")],
    out: Annotated[Path | None, typer.Option("-o", help="[lesion.png; of a series: the folder lesion]")] = None,
    rules: Rules = None,
    organ: Annotated[Path | None, typer.Option(help="White where the organ is, which the mask must lie in.")] = None,
    window: Window = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Puts a lesion where the mask is; all outside the mask stays exactly as it is."""
    from equipoise.cli import lesion

    lesion.add(run, scan, mask, out, rules, organ, window, checkpoint)


def grow(
    run: Generator,
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="A healthy slice as a picture, or a scan.")],
    masks: Annotated[Path, typer.Option(help="A folder with the mask of each stage, by name: pictures, or volumes.")],
    out: Annotated[Path, typer.Option("-o", help="A folder, or .gif, .webp, .mp4.")] = Path("grown"),
    rules: Rules = None,
    window: Window = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Draws the stages of a lesion from a sequence of masks."""
    from equipoise.cli import lesion

    lesion.grow(run, scan, masks, out, rules, window, checkpoint)


def segment(
    data: Annotated[Path, typer.Argument(help="An .npz with images, masks and patient, as for training lesions.")],
    run: Annotated[
        Path | None, typer.Option("--with", help="A run of lesion on the same data, whose made-up ones are learnt.")
    ] = None,
    learn: Annotated[str, typer.Option(help="real, made-up, or both [both with a run, real without].")] = "",
    out: Annotated[Path, typer.Option("-o", help="A folder.")] = Path("segmented"),
    steps: Annotated[int, typer.Option(min=1, help="Of each net.")] = 600,
    nets: Annotated[int, typer.Option(min=1, max=20, help="Where they disagree, none is sure.")] = 3,
    vary: Annotated[bool, typer.Option("--vary", help="Slices are turned, shifted, scaled and flipped, too.")] = False,
    size: Annotated[int | None, typer.Option(min=8, help="Pixels a side [of the run, or of the slices].")] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="One of several [of the run, or all].")] = None,
    rules: Rules = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
) -> None:
    """Trains nets that find lesions, and says how well they do on patients whom nobody learnt from."""
    from equipoise.cli import segment as segmenter

    asked = segmenter.Asked(data, run, learn, out, steps, nets, vary, size, channel, rules, seed, checkpoint)
    segmenter.segment(asked, as_json)


def judge(
    run: Run,
    data: Annotated[Path, typer.Argument(help="A picture, a folder, .zip or .parquet file of them, or an array.")],
    label: Annotated[int | None, typer.Option("--class", help="Taken as this class [as the likeliest].")] = None,
    checkpoint: Checkpoint = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")] = False,
) -> None:
    """Says for each picture how real D finds it."""
    from equipoise.cli import use

    use.judge(run, data, label, checkpoint, as_json)


def directions(
    run: Generator,
    out: Annotated[Path, typer.Option("-o", help="A strip each; the directions beside it.")] = Path("directions.png"),
    method: Annotated[str, typer.Option(help="pca (GANSpace), or sefa: what the first weights amplify.")] = "sefa",
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 5,
    seed: Seed = 0,
    label: Label = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Finds directions of the latents along which samples change, without labels."""
    from equipoise.cli import use

    use.directions(use.opened(run, checkpoint), out, method, n, seed, label)


def export(
    run: Generator,
    to: Annotated[str, typer.Option(help="safetensors or onnx.")] = "safetensors",
    out: Annotated[Path | None, typer.Option("-o", help="[generator.safetensors, generator.onnx]")] = None,
    checkpoint: Checkpoint = "last",
) -> None:
    """Writes the generator, and a sampler.py beside it that draws samples without Equipoise."""
    from equipoise.cli import use

    use.export(use.opened(run, checkpoint), to, out)
