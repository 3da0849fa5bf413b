"""The verbs. torch is imported inside them, so that --help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from equipoise.cli import trained
from equipoise.errors import EquipoiseError, StorageError

app = typer.Typer(
    name="equipoise",
    help="Trains generative adversarial networks and keeps the game in balance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

lesion_app = typer.Typer(help="Puts lesions into healthy slices, lets them grow, and finds them.", no_args_is_help=True)
app.add_typer(lesion_app, name="lesion")
data_app = typer.Typer(help="Looks at data, and prepares it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Run = Annotated[Path, typer.Argument(help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]


@app.command()
def demo(
    rescue: Annotated[bool, typer.Option("--rescue", help="1,000 modes that collapse, left alone and mended.")] = False,
    headless: Annotated[
        bool, typer.Option("--headless", help="Opens no browser; exit code 1 if anything is not as it should be.")
    ] = False,
) -> None:
    """The tour: offline, no GPU, a minute or so."""
    from equipoise import demo as tour
    from equipoise.cli import screen

    if rescue:
        tour.rescue(screen.say, screen.watch)
    elif not tour.demo(screen.say, screen.watch, show=not headless).kept and headless:
        raise typer.Exit(1)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="One recipe, resolved, with its measured result.")] = None,
    as_json: Json = False,
) -> None:
    """Lists the recipes, or prints one."""
    from equipoise.cli import show

    show.recipes(name, as_json)


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="See `equipoise recipes`; auto chooses by the data.")] = None,
    data: Annotated[str | None, typer.Option(help="A folder of pictures, a file of them, or a built-in set.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder [runs/<date>_<recipe>].")] = None,
    steps: Annotated[int | None, typer.Option(help="Length in rounds of the game.")] = None,
    kimg: Annotated[float | None, typer.Option(help="Length in thousands of real samples shown to D.")] = None,
    time: Annotated[str | None, typer.Option(help="Length as a time on this machine: 90s, 30m, 2h.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same run.")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Begins with the weights of a run, or of a .safetensors file.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, as often as needed.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of a recipe: a YAML or JSON file.")] = None,
    stop_when_converged: Annotated[
        bool, typer.Option("--stop-when-converged", help="Ends when samples no longer gain, beyond noise.")
    ] = False,
    guardian: Annotated[
        str | None, typer.Option(help="on: mends what goes wrong; watch: says so; off [watch].")
    ] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="Processes on each machine, one a device.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Machines; start the command on each of them.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Config, parameters, memory, time; no training.")] = False,
    replay: Annotated[Path | None, typer.Option(help="A run: what was asked of it is asked again.")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Shows the run on a page while it plays.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Where the time of a step goes; no training.")] = False,
    as_json: Json = False,
) -> None:
    """Trains a GAN by a recipe."""
    from equipoise.cli import act

    settings = [*(settings or []), *(["evaluate.stop_when_converged=true"] if stop_when_converged else [])]
    settings += [f"guardian.mode={guardian}"] if guardian else []
    changes = {"file": config, "data": data, "steps": steps, "kimg": kimg, "seed": seed, "settings": settings}
    changes |= {"devices": devices, "nodes": nodes, "start": start}
    if profile:
        act.profile(recipe, changes, out, as_json=as_json)
    else:
        act.train(recipe, changes, out, time, dry_run=dry_run, as_json=as_json, replay=replay, page=dashboard)


@app.command()
def resume(run: Run) -> None:
    """Goes on with a run, to the bits that it would have had without a break."""
    from equipoise import launch
    from equipoise.cli import screen

    launch.resume(run, watch=screen.watch, track=screen.track, warn=screen.fail)
    screen.say(f"{run}: finished")


for verb in (
    trained.sample, trained.walk, trained.project, trained.translate, trained.restyle, trained.judge,
    trained.directions, trained.export,
):  # fmt: skip
    app.command()(verb)


for lesion_verb in (trained.add, trained.grow, trained.segment):
    lesion_app.command()(lesion_verb)


@app.command()
def evaluate(
    what: Annotated[str, typer.Argument(help="A run, a .safetensors file, pictures, or an array (.npz, .npy).")],
    against: Annotated[
        str | None, typer.Option(help="Real data, a part of it (mnist.npz#test), or a run: its test data [its own].")
    ] = None,
    metrics: Annotated[str, typer.Option(help="fd,kid,prdc,... [all of features]")] = "",
    features: Annotated[
        str, typer.Option(help="auto, random, classifier, self-supervised, squeezenet=FILE, ...")
    ] = "auto",
    n: Annotated[int, typer.Option("-n", min=10, help="At most so many samples, and as many reals.")] = 10_000,
    train: Annotated[str | None, typer.Option(help="Where copies are looked for [the training part].")] = None,
    size: Annotated[int | None, typer.Option(min=8, help="Resize both to so many pixels a side.")] = None,
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "best",
    seed: Annotated[int, typer.Option(min=0, help="Of the samples that are drawn.")] = 0,
    back: Annotated[bool, typer.Option("--back", help="The way from B to A (cyclegan).")] = False,
    privacy: Annotated[
        bool, typer.Option("--privacy", help="What they give away of the people learnt from; exit 1 if anything.")
    ] = False,
    kind: Annotated[str, typer.Option(help="text: files of sentences, one a line; auto, pictures.")] = "auto",
    as_json: Json = False,
) -> None:
    """Scores samples, whoever made them; each figure with its protocol."""
    from equipoise.cli import score

    families = [name.strip() for name in metrics.split(",") if name.strip()]
    families += ["privacy"] if privacy and "privacy" not in families else []
    code = score.evaluate(
        {"what": what, "against": against, "metrics": families, "features": features, "n": n, "train": train,
         "size": size, "checkpoint": checkpoint, "seed": seed, "back": back}, kind, as_json, privacy=privacy,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def dashboard(
    runs: Annotated[Path, typer.Argument(help="The folder that holds the runs, or a run.")] = Path("runs"),
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="[8321, or any that is free]")] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; others than this machine may come.")
    ] = "127.0.0.1",
) -> None:
    """Shows runs on a page: is it fine, what is wrong, what will happen, what can I do."""
    from equipoise.cli import watch

    watch.dashboard(runs, port, host)


@app.command()
def follow(
    run: Run,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Looks once.")] = False,
) -> None:
    """The same in a terminal: the verdict, and curves as small as words."""
    from equipoise.cli import watch

    watch.follow(run, every, once=once)


@app.command()
def fork(
    run: Run,
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step.")] = "last",
    out: Annotated[Path | None, typer.Option(help="The new run folder [beside the run].")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="knobs.name=value, as often as needed.")] = None,
    play: Annotated[bool, typer.Option("--play", help="Trains it at once.")] = False,
) -> None:
    """Begins another run at a checkpoint, with other knobs if wanted."""
    from equipoise.cli import watch

    watch.fork(run, checkpoint, out, settings or [], play=play)


@app.command()
def diagnose(
    what: Annotated[Path, typer.Argument(help="A run folder, or the log of any trainer as .csv with a column step.")],
    as_json: Json = False,
) -> None:
    """Says what is wrong, with evidence and advice. Exit code 1 when a finding is severe."""
    from equipoise.cli import show

    raise typer.Exit(show.diagnose(what, as_json))


@app.command()
def runs(
    home: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Lists the runs and how far they are."""
    from equipoise.cli import show

    show.runs(home, as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first ones' settings are the yardstick.")],
    metric: Annotated[str | None, typer.Option(help="One figure [all that the runs share].")] = None,
    as_json: Json = False,
) -> None:
    """Compares the final figures of runs, by settings, over seeds."""
    from equipoise.cli import show

    show.compare(runs, metric, as_json)


@app.command()
def report(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option("-o", help="The file to write; .gif: samples over time alone [report.html in the run]."),
    ] = None,
) -> None:
    """Writes the story of a run, in any state, as one HTML file that works offline."""
    from equipoise.cli import show

    show.report(run, out)


@data_app.command()
def convert(
    data: Annotated[str, typer.Argument(help="A folder, .zip, .parquet, .npz, .npy or idx file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")],
    size: Annotated[int | None, typer.Option(min=8, help="Pixels a side [from the pictures].")] = None,
) -> None:
    """Writes a set of images, once, as it is trained on: for sets that are larger than the memory."""
    from equipoise.cli import data as verbs

    verbs.convert(data, out, size)


@data_app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A folder of pictures (subfolders are classes), or an .npz file.")],
    out: Annotated[Path | None, typer.Option("-o", help="The report [<name>_check.html].")] = None,
    as_json: Json = False,
) -> None:
    """Finds broken files, copies, outliers, wrong labels. Exit code 1 when there are any."""
    from equipoise.cli import data as verbs

    raise typer.Exit(verbs.check(data, out, as_json))


@data_app.command()
def clean(
    data: Annotated[Path | None, typer.Argument(help="As for check. It is only read.")] = None,
    out: Annotated[Path | None, typer.Option("-o", help="A new folder for the copy.")] = None,
    drop: Annotated[
        str, typer.Option(help="Also: outliers, labels, constant. Look at them first.")
    ] = "unreadable,duplicates,near-duplicates",
    as_list: Annotated[bool, typer.Option("--list", help="No copy: -o becomes a JSON list of what is kept.")] = False,
    undo: Annotated[Path | None, typer.Option(help="Removes a copy that clean made, if it is unchanged.")] = None,
    as_json: Json = False,
) -> None:
    """Writes a copy without broken files and copies; the original is not touched."""
    from equipoise.cli import data as verbs

    verbs.clean(data, out, drop, as_list, as_json, undo)


@app.command()
def env(as_json: Json = False) -> None:
    """Versions and hardware: what to send with a question."""
    from equipoise.cli import show

    show.env(as_json)


def main() -> None:
    """Runs a verb. Errors are told in one to three lines, with the exit codes of errors.py."""
    try:
        app()
    except EquipoiseError as error:
        from equipoise.cli import screen

        screen.fail(str(error))
        sys.exit(0 if screen.FOLLOWS else error.exit_code)  # the launcher kills all when a follower fails
    except OSError as error:
        from equipoise.cli import screen

        screen.fail(f"{error.filename or 'the system'}: {error.strerror or error}. Nothing that was saved is lost.")
        sys.exit(StorageError.exit_code)
    except KeyboardInterrupt:
        from equipoise.cli import screen

        screen.fail("stopped at once. Nothing that was saved is lost.")
        sys.exit(130)


if __name__ == "__main__":
    main()
