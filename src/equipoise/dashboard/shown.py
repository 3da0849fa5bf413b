"""What a page says of a run, as JSON: the verdict, what happened, how long it will take, and what one can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from equipoise.dashboard import panels
from equipoise.dashboard.digest import Digest
from equipoise.figures import Row
from equipoise.knobs import Knobs
from equipoise.reports import pace
from equipoise.reports import story as stories
from equipoise.reports.story import Story
from equipoise.reports.verdict import verdict
from equipoise.words import number, sentence

SHOWN_KNOBS = (  # those that one turns by hand, first
    "g_lr", "d_lr", "r1", "r2", "gp", "d_steps", "g_steps", "augment_p", "instance_noise", "clip_norm",
    "ema_halflife_kimg",
)  # fmt: skip


def shown(digest: Digest) -> dict[str, Any]:
    """All but the curves."""
    with digest.lock:
        story = digest.story()
        answer = verdict(story.events)
        step, seen = story.reached
        knobs, happened = course(story, digest)
        return {
            "name": digest.run.path.name, "recipe": story.config.recipe, "seed": story.config.seed,
            "state": story.state, "step": step, "seen": seen, "images": story.config.images,
            "verdict": {**answer._asdict(), "symbol": answer.symbol},
            "answers": [
                {"question": question, "said": [one._asdict() for one in said]}
                for question, said in stories.answers(story).items()
            ],
            "left": left(story), "last": last_checkpoint(story, digest), "best": best(story),
            "findings": [finding(row) for row in story.findings], "over": story.over,
            "timeline": happened, "knobs": standing(knobs), "mode": mode(story),
            "unanswered": [{"id": row["id"], "do": row.get("do")} for row in digest.unanswered][-20:],
            "figures": panels.figures(list(story.measured)),
            "samples": thinned(digest.drawn), "kind": kind(story), "reading": reading(digest),
            "view": changed(digest, "view.json"), "bins": changed(digest, "figures/bins.png"),
            "shares": next((row["shares"] for row in story.rows("look")), []),
            "raw": (digest.run.samples / "real.png").exists(),
            "forkable": [row["step"] for row in story.rows("checkpoint")][-12:],
        }  # fmt: skip


def reading(digest: Digest) -> float:
    """Which part of the record was read: 1 is all."""
    return digest.events.offset / digest.events.size if digest.behind else 1.0


def changed(digest: Digest, name: str) -> float:
    """When a file was written; 0 where it is not there."""
    try:
        return (digest.run.path / name).stat().st_mtime
    except OSError:
        return 0.0


def kind(story: Story) -> str:
    if story.config.data.kind == "sentences":
        return "text"
    if story.config.play != "noise":
        return "translation"
    return "points" if story.config.data.kind in ("ring", "grid") else "pictures"


def thinned(steps: Sequence[int], most: int = 500) -> list[int]:
    """The first and the last, and so many between."""
    every = 1 + len(steps) // most
    return [*steps[:-1:every], *steps[-1:]]


def left(story: Story) -> dict[str, Any]:
    step, seen = story.reached
    if story.state not in ("running", "paused") or not seen:
        return {"words": ""}
    found = pace.left(story.clock, step * (story.config.images / seen - 1))
    if found is None:
        return {"words": "the time left is known after the first checkpoint"}
    return {**found._asdict(), "words": f"{found.words} left"}


def last_checkpoint(story: Story, digest: Digest) -> dict[str, Any] | None:
    """The newest that is whole; it was read back when it was written."""
    for row in reversed(story.rows("checkpoint")):
        folder = digest.run.checkpoints / f"step-{row['step']:09d}"
        if (folder / "manifest.json").exists():
            return {"step": row["step"], "seen": row["seen"]}
    return None


def best(story: Story) -> dict[str, Any] | None:
    row = story.last("best")
    return None if row is None else {"step": row["step"], "seen": row["seen"], "value": row["value"],
                                     "by": story.config.evaluate.best_by}  # fmt: skip


def finding(row: Row) -> dict[str, Any]:
    evidence = {key.replace("_", " "): number(float(value)) for key, value in row["evidence"].items()}
    return {
        "symptom": sentence(row["symptom"]), "severity": row["severity"], "seen": row["seen"], "step": row["step"],
        "meaning": f"{sentence(row['meaning'])}.", "advice": f"{sentence(row['advice'])}.", "evidence": evidence,
        "source": row.get("source", ""),
    }  # fmt: skip


def mode(story: Story) -> str:
    asked = [row["mode"] for row in story.rows("request") if row["do"] == "guardian" and "refused" not in row]
    return str(asked[-1]) if asked else story.config.guardian.mode


def course(story: Story, digest: Digest) -> tuple[Knobs, list[dict[str, Any]]]:
    """The knobs as they stand, and what was done to the run: why, what, with which effect, and how to undo it."""
    knobs, found = story.config.knobs, []
    for row in story.events:
        match row["kind"]:
            case "change":
                before = {name: getattr(knobs, name) for name in row["knobs"] if name in Knobs.model_fields}
                knobs = knobs.model_copy(update={name: row["knobs"][name] for name in before})
                found.append(act(row, before, digest))
            case "request" if row["do"] != "set" or "refused" in row:
                found.append(asked(row))
            case "finding":
                found.append({"seen": row["seen"], "step": row["step"], "kind": "finding", "severity": row["severity"],
                              "cause": sentence(row["symptom"]), "act": f"{row['meaning']}"})  # fmt: skip
            case "diverged":
                found.append({"seen": row["seen"], "step": row["step"], "kind": "finding", "severity": "severe",
                              "cause": "Diverged", "act": f"not finite: {', '.join(row['signals'])}"})  # fmt: skip
    return knobs, found[-200:]


def act(row: Row, before: Mapping[str, Any], digest: Digest) -> dict[str, Any]:
    turned = [f"{name} {short(before[name])} → {short(to)}" for name, to in row["knobs"].items() if name in before]
    turned += [f"back to step {row['back_to']:,}"] if row.get("back_to") is not None else []
    turned += ["stop"] if row.get("stop") else []
    return {
        "seen": row["seen"], "step": row["step"], "kind": "change", "cause": sentence(row["reason"]),
        "act": ", ".join(turned), "effect": effect(row["seen"], digest),
        "undo": dict(before) or None,
    }  # fmt: skip


def asked(row: Row) -> dict[str, Any]:
    what = {"guardian": f"guardian: {row.get('mode')}", "step": f"play {row.get('rounds')} rounds",
            "fork": f"fork from step {row.get('checkpoint')}", "resume": "go on"}.get(row["do"], row["do"])  # fmt: skip
    if row["do"] == "set":
        what = ", ".join(f"{name} → {short(value)}" for name, value in row["knobs"].items())
    refused = f"refused: {row['refused']}" if "refused" in row else ""
    return {"seen": row["seen"], "step": row["step"], "kind": "request", "cause": f"Asked by {row['who']}", "act": what,
            "effect": refused}  # fmt: skip


def effect(seen: int, digest: Digest) -> str:
    """How far samples fell short before a change, and since: the middle of three looks each."""
    told = digest.looks.told(["shortfall"])
    if "shortfall" not in told["curves"]:
        return ""
    pairs = [(x, y) for x, y in zip(told["x"], told["curves"]["shortfall"][0], strict=True) if y is not None]
    before = [y for x, y in pairs if x <= seen / 1000][-3:]
    after = [y for x, y in pairs if x > seen / 1000][:6]
    if not before or len(after) < 3:
        return "too early to tell" if before else ""
    then, now = median(before), median(after[-3:])
    word = (
        "better" if now < then - max(0.1 * then, 0.5) else "worse" if now > then + max(0.1 * then, 0.5) else "as before"
    )
    return f"{word}: shortfall {number(then)} → {number(now)}"


def short(value: Any) -> str:
    return number(value) if isinstance(value, float | int) and not isinstance(value, bool) else str(value)


def standing(knobs: Knobs) -> list[dict[str, Any]]:
    """The knobs that a person may turn, the usual ones first."""
    raw = knobs.model_dump(mode="json")
    plain = [name for name, value in raw.items() if isinstance(value, int | float | bool | str)]
    names = [*SHOWN_KNOBS, *(name for name in plain if name not in SHOWN_KNOBS)]
    return [{"name": name, "value": raw[name]} for name in names]
