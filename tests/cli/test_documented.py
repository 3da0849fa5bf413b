"""Every command of README and docs, as a reader would copy it.

All of them are parsed by the real command line: an option that is gone or misspelt turns the test red. What is done
with each further stands in TABLE, and a command that no line of it knows is an error: none is left out silently.

* `Run`: it is run in a folder that holds what the docs speak of (photos/, runs/a, samples.npz, ...), all of it tiny; of
  trainings the length is replaced and the nets are narrow, and nothing else;
* `Configured`: a training that would take too long, or needs data of a kind that is made elsewhere: its recipe and its
  settings must give a config. Trainings of each kind of recipe are run by tests/test_resume.py and others;
* `Parsed`: only parsed, for the reason given there.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from equipoise.cli.main import app
from equipoise.configuring import configured, seconds
from equipoise.recipes import RECIPES
from equipoise.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHORT = {  # of trainings that are run
    "digits": ["nets.g_widths=[12]", "nets.d_widths=[12]", "machine.threads=1", "save.every_kimg=1"],
    "dcgan": ["nets.g_width=4", "nets.d_width=4", "batch=8", "machine.threads=1", "data.size=8"],
    "ring": ["nets.g_widths=[12]", "nets.d_widths=[12]", "machine.threads=1", "save.every_kimg=1"],
}
UNWATCHED = ["guardian.mode=off", "evaluate.metrics=[]"]


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]  # without `equipoise`
    where: str

    @property
    def text(self) -> str:
        return " ".join(self.words)


def fenced(page: Path) -> Iterator[Command]:
    """The commands in the code blocks of a page; a line may hold several, and may go on in the next."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.S | re.M)
    for block in (text for language, text in blocks if language in ("", "bash", "console", "sh")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s{2,}(?=equipoise )", line.strip().removeprefix("$ ")):
                command = re.sub(r"^([A-Z_]+=\S+ )+", "", part)  # variables of the environment before it
                if command.startswith("equipoise "):
                    yield Command(
                        before_redirection(shlex.split(uncommented(command))[1:]), f"{page.relative_to(ROOT)}: {part}"
                    )


def before_redirection(words: list[str]) -> tuple[str, ...]:
    """Without what the shell keeps for itself: < in.txt > out.txt."""
    ends = [i for i, word in enumerate(words) if word in ("<", ">")]
    return tuple(words[: ends[0]] if ends else words)


def uncommented(line: str) -> str:
    """Without what follows a # after a blank, outside of quotes."""
    quote = ""
    for i, letter in enumerate(line):
        if letter in "'\"":
            quote = "" if quote == letter else quote or letter
        elif letter == "#" and not quote and line[i - 1] == " ":
            return line[:i]
    return line


COMMANDS = [command for page in PAGES for command in fenced(page)]


@dataclass(frozen=True)
class Run:
    code: int = 0  # that it must end with


@dataclass(frozen=True)
class Configured:
    pass


@dataclass(frozen=True)
class Parsed:
    why: str


How = Run | Configured | Parsed
SLOW = Parsed("takes a minute; tests/test_demo.py plays it")
OTHER = Parsed("needs a generator of another kind; tests/cli/test_trained.py and the tests of its kind run it")
MANY = Parsed("starts several processes; tests/test_processes.py does")
PROFILED = Parsed("the profiler takes ten seconds; tests/test_profiling.py runs it")
EXTRA = Parsed("needs a package that is not installed everywhere; the tests of the extra run it")
STEPS = r"train (digits|ring)( --time \S+| --steps \d+| --kimg \S+)?( --out \S+)?( --guardian (on|watch|off))?"
TABLE: list[tuple[str, How]] = [  # the first that matches the whole command counts
    (r"demo.*", SLOW),
    (r"recipes|recipes \S+|runs|runs --json|env", Run()),
    (r"train .*--profile.*", PROFILED),
    (r"train auto .*", Parsed("measures nets that the data asks for; tests/test_auto.py has what it chooses")),
    (r"train .*--(devices|nodes).*", MANY),
    (r"train .*--dry-run.*", Run()),
    (STEPS, Run()),
    (r"train dcgan --data photos/( --time \S+)?", Run()),
    (r"train .*given\.path=.*", Parsed("needs weights that do not come with it; tests/encoders/test_perception.py")),
    (r"train .*", Configured()),
    (r"resume \S+", Run()),
    (r"sample runs/\S+ -n \d+( -o \S+)?( --checkpoint best| --seed \d+)*", Run()),
    (r"sample .*--(class|truncation|temperature|begin|bits).*|sample runs/a -n 20|sample runs/a -n 5000 .*", OTHER),
    (r"walk runs/a -o walk\.gif", Run()),
    (r"project .*", Parsed("searches for a minute; tests/uses/test_inversion.py does with fewer steps")),
    (r"directions .*--method sefa", OTHER),
    (r"judge runs/a photos/", Run()),
    (r"export runs/a --to safetensors .*", Run()),
    (r"export .*--to onnx.*", EXTRA),
    (r"translate .*|lesion .*|restyle .*", OTHER),
    (r"evaluate runs/\S+", Run()),
    (r"evaluate (samples/|samples\.npz|features\.npy) --against (photos/|real\.npy)", Run()),
    (r"evaluate .*mnist\.npz.*", Parsed("MNIST is not shipped; tests/cli/test_evaluate.py has other parts of sets")),
    (r"evaluate .*", Parsed("tests/cli/test_evaluate.py, tests/test_texts.py and tests of the kind run its like")),
    (r"compare .*", Parsed("needs runs with figures; tests/reports/test_comparison.py writes some")),
    (r"report runs/\S+( -o \S+)?", Run()),
    (r"diagnose log\.csv( --json)?|diagnose runs/\S+( --json)?", Run()),
    (r"data check photos/|data clean photos/ -o \S+|data clean --undo \S+|data convert photos\.zip -o \S+", Run()),
    (r"dashboard.*|follow .*", Parsed("serves until it is stopped; its own tests do")),
]


def how(command: Command) -> How | None:
    return next((found for pattern, found in TABLE if re.fullmatch(pattern, command.text)), None)


def parsed(command: Command) -> dict[str, Any]:
    """What the verb would be called with, which it is not. Raises as the command line does at a wrong word."""
    seen: list[dict[str, Any]] = []
    root = typer.main.get_command(app)
    pending = [root]
    while pending:
        each = pending.pop()
        pending += getattr(each, "commands", {}).values()
        if not hasattr(each, "commands"):
            each.callback = lambda **given: seen.append(given)
    root.main(list(command.words), standalone_mode=False)
    (given,) = seen
    return given


def test_commands_are_found_with_their_comments_taken_off(tmp_path):
    page = ROOT / "README.md"
    texts = {command.text for command in fenced(page)}
    assert {"runs", "env"} <= texts, "two on a line"
    assert "train digits --time 120s" in texts
    assert any("schedules.d_steps" in text and "schedules.g_steps" in text for text in texts), "over two lines"
    assert any("mnist.npz#test" in text for text in texts), "not every # begins a comment"
    assert len(COMMANDS) > 90


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.where)
def test_every_command_is_understood_and_in_the_table(command):
    parsed(command)
    assert how(command) is not None, f"{command.where} is not in TABLE: say how it is tested"


def test_a_wrong_option_is_seen():
    with pytest.raises(Exception, match="No such option"):
        parsed(Command(("train", "digits", "--tme", "3s"), ""))


def distinct(kind: type[How]) -> list[Command]:
    """Each once, in the order of the pages."""
    found = {command.words: command for command in COMMANDS if isinstance(how(command), kind)}
    return list(found.values())


@pytest.mark.parametrize("command", distinct(Configured), ids=lambda command: command.text)
def test_trainings_that_are_not_run_have_a_config(command):
    given = parsed(command)
    recipe = given["recipe"]
    if given["time"]:
        assert seconds(given["time"]) > 0
    assert recipe in RECIPES
    own = [text for text in given["settings"] or [] if not text.startswith(("data.", "freeze_d", "given."))]
    configured(recipe, settings=own)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with what the docs speak of: made once, copied for each command."""
    home = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(0)
    for folder, count in (("photos", 40), ("samples", 30)):
        (home / folder).mkdir()
        for i in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(home / folder / f"{i:02}.png")
    shutil.make_archive(str(home / "photos"), "zip", home / "photos")
    np.savez(home / "samples.npz", random.integers(0, 256, (30, 8, 8), dtype=np.uint8))
    np.save(home / "features.npy", random.normal(size=(40, 3)))
    np.save(home / "real.npy", random.normal(size=(40, 3)))
    lines = [f"{step},{1.4 - step / 4000},{0.9 + step / 4000},,".rstrip() for step in range(100, 2001, 100)]
    (home / "log.csv").write_text("\n".join(["step,d_loss,g_loss,fid,recall", *lines]) + "\n")
    return home


@pytest.fixture
def there(world, tmp_path, small_run, equipoise):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    for name in ("a", "b", "2026-11-21_093100_digits"):
        shutil.copytree(small_run.path, tmp_path / "runs" / name)
    return equipoise


@pytest.mark.parametrize("command", distinct(Run), ids=lambda command: command.text)
def test_what_can_be_run_is_run(there, command):
    words = shortened(command)
    if "--undo" in words:
        assert there("data", "clean", "photos/", "-o", "clean_photos/")[0] == 0
    if words[:2] == ("data", "convert"):
        shutil.rmtree("photos")  # what it is to write
    if words[0] == "resume":
        shutil.rmtree(RunFolder(Path(words[1])).path)
        short = [word for text in (*SHORT["digits"], *UNWATCHED) for word in ("--set", text)]
        assert there("train", "digits", "--steps", "2", "--out", words[1], *short)[0] == 0
    code, out, err = there(*words)
    wanted = how(command)
    assert isinstance(wanted, Run)
    findings = words[:2] == ("data", "check")  # noise has copies or not: either is an answer
    assert code == wanted.code or (findings and code == 1), err
    assert "Traceback" not in err
    assert out or err, "it says something"


def shortened(command: Command) -> tuple[str, ...]:
    """A training of two steps on narrow nets, as it stands otherwise."""
    words = list(command.words)
    if words[0] != "train":
        return tuple(words)
    for length in ("--time", "--steps", "--kimg"):
        if length in words:
            del words[words.index(length) : words.index(length) + 2]
    watched = ["guardian.features=pixels", "guardian.n=60", "evaluate.metrics=[]"]
    short = [*SHORT[words[1]], *(watched if "--guardian" in words else UNWATCHED)]
    steps = () if "--dry-run" in words else ("--steps", "2")
    return (*words, *steps, *(word for text in short for word in ("--set", text)))
