"""The pages of reference/, made from the code while the site is built: a hook of MkDocs.

`python docs/reference.py FOLDER` writes them as files.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import typer
from pydantic import BaseModel

from equipoise import recipes
from equipoise.cli.main import app
from equipoise.config import TrainConfig
from equipoise.diagnosis.causes import KNOWN
from equipoise.diagnosis.remedies import LADDER
from equipoise.figures import meaning
from equipoise.knobs import Knobs

PYTHON = (  # modules that are of use in anybody's own loop
    "equipoise.door", "equipoise.guardian", "equipoise.losses", "equipoise.penalties", "equipoise.metrics.frechet",
    "equipoise.metrics.kernel", "equipoise.metrics.neighbours", "equipoise.metrics.diversity",
    "equipoise.metrics.modes", "equipoise.metrics.copies",
)  # fmt: skip
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:benchmarks|src|tests)/[^)]+|ARCHITECTURE\.md|CONTRIBUTING\.md)\)")


def commands() -> str:
    """Each verb with its words, as --help has them."""
    found = ["# Commands", "Exit codes are those of `equipoise.errors`; `--json` prints one object to stdout."]
    root = typer.main.get_command(app)
    for path, command in verbs(root, ""):
        found.append(f"## equipoise {path}\n\n{(command.help or '').strip()}")
        rows = [row(parameter) for parameter in command.params if parameter.name != "help"]
        found.append(table(("", "", "default"), rows) if rows else "")
    return joined(found)


def verbs(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in sorted(inner.items()):
        yield from verbs(each, f"{path} {name}".strip())


def row(parameter: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if isinstance(parameter, click.Argument) or parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    default = "" if parameter.default in (None, False, ()) or callable(parameter.default) else f"`{parameter.default}`"
    return names, escaped(getattr(parameter, "help", "") or ""), default


def recipes_page() -> str:
    found = ["# Recipes", "`equipoise recipes NAME` prints one, resolved. `auto` chooses one by the data."]
    for name in recipes.RECIPES:
        config = recipes.recipe(name)
        facts = f"`data.kind={config.data.kind}`, `nets.kind={config.nets.kind}`, loss {config.knobs.loss}"
        found.append(f"## {name}\n\n{facts}, batch {config.batch}, {config.kimg:g} kimg.\n\n{recipes.about(name)}")
    return joined(found)


def config_page() -> str:
    """Every key with its type and default, and what the source says beside it."""
    found = [
        "# Config",
        "Each key can be set: `equipoise train RECIPE --set key.path=value`. None: found out at the start.",
    ]
    found.append("## Knobs\n\nAll that may change while a run goes on: `knobs.NAME`. Each can follow a schedule.")
    found.append(fields("knobs", Knobs))
    found.append(f"## The rest\n\n{fields('', TrainConfig, without=('knobs',))}")
    for name, field in TrainConfig.model_fields.items():
        for model in models(field.annotation):
            if model is not Knobs:
                found.append(f"## {name}: {model.__name__}\n\n{inspect.cleandoc(model.__doc__ or '')}")
                found.append(fields(name, model))
    return joined(found)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a key may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models(inner)


def fields(path: str, model: type[BaseModel], without: tuple[str, ...] = ()) -> str:
    notes = remarks(model)
    rows = []
    for name, field in model.model_fields.items():
        if name not in without:
            default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
            default = "" if len(default) > 60 else default
            rows.append((f"`{path}.{name}`".replace("`.", "`"), escaped(notes.get(name, "")), escaped(default)))
    return table(("key", "", "default"), rows)


def remarks(model: type[BaseModel]) -> Mapping[str, str]:
    """The comments at the ends of the lines of a model's source."""
    lines = inspect.getsource(model).splitlines()
    found = (re.match(r"    (\w+): .*?  # (.*)$", line) for line in lines)
    return {match[1]: match[2] for match in found if match and "type: ignore" not in match[2]}


def findings_page() -> str:
    found = ["# Findings", "What the guardian can find, what it means, what to do, and what it tries, in this order."]
    for symptom, cause in KNOWN.items():
        rungs = "; ".join(rung.words for rung in LADDER.get(symptom, ()))
        tried = f"\n\nTried: {rungs}." if rungs else ""
        found.append(f"## {symptom}\n\n{told(cause)}{tried}")
    found.append("# Figures")
    keys = ("fd", "kid", "is", "precision", "recall", "density", "coverage", "vendi", "ndb", "jsd", "copy_rate", "c_t")
    rows = [(f"`{key}`", escaped(meaning(key).title), escaped(meaning(key).about), meaning(key).better) for key in keys]
    found.append(table(("key", "name", "", "better"), rows))
    return joined(found)


def told(cause: Any) -> str:
    """A known cause, field by field."""
    parts = cause._asdict() if hasattr(cause, "_asdict") else vars(cause)
    return "\n\n".join(f"{name.replace('_', ' ').capitalize()}: {value}." for name, value in parts.items() if value)


def python_page() -> str:
    found = ["# Python", "`from equipoise import GAN, Guardian`; every other part is imported from its module."]
    for name in PYTHON:
        module = importlib.import_module(name)
        found.append(f"## {name}\n\n{inspect.cleandoc(module.__doc__ or '')}")
        found += [documented(each, thing) for each, thing in public(module)]
    return joined(found)


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", "") == module.__name__ and inspect.getdoc(thing)
        if own and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield name, thing


def documented(name: str, thing: Any) -> str:
    signature = signed(thing)
    text = f"### {name}\n\n```python\n{name}{signature}\n```\n\n{indented(inspect.getdoc(thing) or '')}"
    methods = inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else []
    for each, method in methods:
        if not each.startswith("_") and inspect.getdoc(method) and method.__qualname__.startswith(name):
            text += f"\n\n`.{each}{signed(method)}`: {indented(inspect.getdoc(method) or '')}"
    return text


def signed(thing: Any) -> str:
    """Annotations are strings in the source of all modules: here they are not."""
    return re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(inspect.signature(thing)))


def indented(text: str) -> str:
    """What is raised as a list."""
    return re.sub(
        r"\nRaises:\n((?:    .*\n?)+)", lambda m: "\nRaises:\n\n" + re.sub(r"(?m)^    (\w)", r"* \1", m[1]), text
    )


def escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;").replace("\n", " ")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def joined(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


MADE: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands, "reference/recipes.md": recipes_page, "reference/config.md": config_page,
    "reference/findings.md": findings_page, "reference/python.md": python_page,
}  # fmt: skip


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for path, make in MADE.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to what is not part of the site become paths."""
    return OUTSIDE.sub(r"\1 (`\2`)", markdown)


def main(folder: Path) -> None:
    for path, make in MADE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
