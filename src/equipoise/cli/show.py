"""The verbs that only read: recipes, runs and env."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from equipoise.cli import screen
from equipoise.recipes import RECIPES, about, recipe
from equipoise.runs.folder import all_runs, summary


def recipes(name: str | None, as_json: bool) -> None:
    if name is not None:
        config = recipe(name).model_dump(mode="json")
        if as_json:
            screen.show_json({"recipe": name, "about": about(name), "config": config})
        else:
            print(f"{about(name)}\n\n{yaml.safe_dump(config, sort_keys=False)}", end="")
    elif as_json:
        screen.show_json({"recipes": {each: about(each) for each in RECIPES}})
    else:
        screen.show_table([{"recipe": each, "what": first_paragraph(about(each))} for each in RECIPES])


def first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def runs(home: Path, as_json: bool) -> None:
    found = [summary(run) for run in all_runs(home)]
    if as_json:
        screen.show_json({"runs": found})
    elif not found:
        screen.say(f"no runs in {home}. Start one: equipoise train digits")
    else:
        screen.show_table([row | {"progress": f"{row['progress']:.0%}"} for row in found])


def env(as_json: bool) -> None:
    from equipoise.environment import environment

    facts = environment()
    if as_json:
        screen.show_json(facts)
    else:
        print(yaml.safe_dump(json.loads(json.dumps(facts)), sort_keys=False), end="")
