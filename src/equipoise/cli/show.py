"""The verbs that only read: recipes, diagnose, runs, compare, report and env."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from equipoise import auto
from equipoise.cli import screen
from equipoise.diagnosis.finding import Finding
from equipoise.errors import EquipoiseError
from equipoise.recipes import RECIPES, about, recipe
from equipoise.reports import comparison, diagnosis, film
from equipoise.reports import report as reporting
from equipoise.reports.comparison import Arm, Compared, Difference, Mean
from equipoise.runs.folder import RunFolder, all_runs, existing, summary
from equipoise.words import number


def recipes(name: str | None, as_json: bool) -> None:
    if name == auto.NAME:
        rules_of_auto(as_json)
    elif name is not None:
        config = recipe(name).model_dump(mode="json")
        if as_json:
            screen.show_json({"recipe": name, "about": about(name), "config": config})
        else:
            print(f"{about(name)}\n\n{yaml.safe_dump(config, sort_keys=False)}", end="")
    elif as_json:
        screen.show_json({"recipes": {each: about(each) for each in RECIPES}})
    else:
        screen.show_table([{"recipe": each, "what": first_paragraph(about(each))} for each in RECIPES])
        screen.say("auto chooses one of them, and its settings, by the data: equipoise train auto --data D --dry-run")
        screen.say("By what it chooses: equipoise recipes auto")


def rules_of_auto(as_json: bool) -> None:
    """What takes the place of a config, which it has only once there is data."""
    about, rules = inspect.cleandoc(auto.__doc__ or ""), auto.rules()
    if as_json:
        found = [{"by": by, "choice": choice} for by, choice in rules]
        screen.show_json({"recipe": auto.NAME, "about": about, "rules": found})
    else:
        head = "By what it chooses what. Of the first six the first that fits gives the recipe:"
        print(f"{about}\n\n{head}\n", *(f"* {by}\n    {choice}" for by, choice in rules), sep="\n")


def first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def diagnose(what: Path, as_json: bool) -> int:
    """The exit code: 1 when a finding is severe."""
    found = diagnosis.of(what)
    if as_json:
        screen.show_json(found.as_json())
    else:
        print(found.verdict, *(lines(step, finding) for step, finding in found.findings), sep="\n\n")
    for note in found.notes:
        screen.say(note)
    return int(found.is_severe)


def lines(step: int, finding: Finding) -> str:
    evidence = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in finding.evidence.items())
    source = f"\n    source: {finding.source}" if finding.source else ""
    return (
        f"{finding.severity}: {finding.symptom}, since step {step:,}: {finding.meaning}\n    evidence: {evidence}"
        f"\n    advice: {finding.advice}{source}"
    )


def runs(home: Path, as_json: bool) -> None:
    found = [summarised(run) for run in all_runs(home)]
    if as_json:
        screen.show_json({"runs": found})
    elif not found:
        screen.say(f"no runs in {home}. Start one: equipoise train digits")
    else:
        screen.show_table([row | {"progress": f"{row['progress']:.0%}"} for row in found])


def summarised(run: RunFolder) -> dict[str, object]:
    """Of a run whose files cannot be read, in place of its state, why: the others are told nevertheless."""
    try:
        return summary(run)
    except (EquipoiseError, OSError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        why = " ".join(str(error).split())[:40]
        return {
            "run": str(run.path), "recipe": "", "state": f"unreadable: {why}", "step": 0, "progress": 0.0, "seed": "",
        }  # fmt: skip


def compare(paths: Sequence[Path], metric: str | None, as_json: bool) -> None:
    found = comparison.compare([existing(path) for path in paths], metric)
    if as_json:
        screen.show_json(found.as_json())
        return
    screen.show_table(
        [{"arm": str(i), "settings": arm.name, "seeds": told(arm)} for i, arm in enumerate(found.arms, 1)]
    )
    print()
    screen.show_table([row for name, compared in found.figures.items() for row in rows(name, compared)])
    for note in found.notes:
        screen.say(note[:1].upper() + note[1:])


def told(arm: Arm) -> str:
    return ", ".join(str(seed) for seed in arm.runs)


def rows(name: str, compared: Compared) -> Iterator[dict[str, str]]:
    """A line for each arm; the first is what the others are held against."""
    for i, (mean, apart) in enumerate(zip(compared.means, [None, *compared.differences], strict=True), 1):
        yield {
            "figure": name if i == 1 else "", "arm": str(i), "mean": f"{number(mean.value)}{within(mean)}",
            "against arm 1": f"{apart.value:+.3g}{within(apart)}" if apart else "",
            "": apart.verdict if apart else "",
        }  # fmt: skip


def within(found: Mean | Difference) -> str:
    """Half of a 95% interval, which lies evenly about its value."""
    return "" if found.high is None else f" ± {found.high - found.value:.2g}"


def report(path: Path, out: Path | None) -> None:
    """The page; or where `out` ends with .gif, the samples over time alone."""
    run = existing(path)
    if out is not None and out.suffix.lower() == ".gif":
        film.write(run, out)
        screen.say(f"{out}: the samples over time")
    else:
        screen.say(f"{reporting.write(run, out)}: open it in a browser")


def env(as_json: bool) -> None:
    from equipoise.environment import environment

    facts = environment()
    if as_json:
        screen.show_json(facts)
    else:
        print(yaml.safe_dump(json.loads(json.dumps(facts)), sort_keys=False), end="")
