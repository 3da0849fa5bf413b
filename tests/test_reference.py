"""The pages that are made from the code name all that the code has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from equipoise.cli.main import app
from equipoise.config import TrainConfig
from equipoise.diagnosis.causes import KNOWN
from equipoise.knobs import Knobs
from equipoise.recipes import RECIPES

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headings(page):
    return re.findall(r"^##+ (.*)$", page, re.M)


def test_every_verb_with_its_options(reference):
    page = reference.commands()
    verbs = {(each.name or each.callback.__name__).replace("_", "-") for each in app.registered_commands}
    assert {f"equipoise {verb}" for verb in verbs} <= set(headings(page))
    assert "equipoise data check" in headings(page)
    assert "| `--guardian` | on: mends what goes wrong" in page


def test_every_recipe_knob_section_and_finding(reference):
    assert headings(reference.recipes_page()) == list(RECIPES)
    page = reference.config_page()
    assert all(f"| `knobs.{name}` |" in page for name in Knobs.model_fields)
    assert all(f"| `{name}` |" in page for name in TrainConfig.model_fields if name != "knobs")
    assert "| `guardian.n` | samples in a look" in page
    assert set(KNOWN) <= set(headings(reference.findings_page()))


def test_parts_for_anybodys_own_loop_have_signature_and_words(reference):
    page = reference.python_page()
    assert {"Guardian", "GAN", "frechet_distance", "zero_centered"} <= set(headings(page))
    assert "zero_centered(samples: Tensor, logits: Tensor)" in page


def test_links_out_of_the_site_become_paths(reference):
    text = "see [benchmarks](../../benchmarks/README.md) and [this](guardian.md)"
    assert reference.on_page_markdown(text) == "see benchmarks (`benchmarks/README.md`) and [this](guardian.md)"


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere():
    nav = set(re.findall(r": (\S+\.md)$", (DOCS.parent / "mkdocs.yml").read_text(), re.M))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    made = {f"reference/{name}.md" for name in ("commands", "recipes", "config", "findings", "python")}
    assert nav == pages | made
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)", (DOCS / page).read_text(encoding="utf-8")):
            target = (DOCS / page).parent / link
            assert target.exists() or str(target.resolve().relative_to(DOCS)) in made, f"{page}: {link}"
