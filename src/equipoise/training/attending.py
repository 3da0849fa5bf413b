"""Between two rounds: signals of the system are answered, and what people ask of a run that plays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.knobs import At, Change, Knobs
from equipoise.progress import Reporter
from equipoise.requests import (
    ASKED,
    NEVER_TWICE,
    REQUEST,
    Due,
    Fork,
    Guard,
    Pause,
    Request,
    Resume,
    Set,
    Snapshot,
    Step,
    reason,
    row,
)
from equipoise.sitting import Stopwatch
from equipoise.training.changing import make
from equipoise.training.run import Run
from equipoise.training.saving import leave, save

WAIT_S = 0.1  # between two looks of a run that waits


def attend(run: Run[Any], clock: Stopwatch, report: Reporter, *, saved: bool, first: bool = False) -> None:
    """Between two rounds: answers a signal of the system, and what a person asks of the run; waits where that is asked.

    Raises:
        Stopped: after a signal, with the state saved.
    """
    if not first:
        run.wishes.played()
    while True:
        asked = run.inbox.due(run.game.seen) if run.processes.leads else []
        number = 0 if first else run.stop.number  # one that came before the first round is answered after it
        if number := run.processes.largest(number or (ASKED if asked else 0)):
            if number < ASKED:
                leave(run, number, saved=saved)
            saved = False
            obey(run, asked, report)
        if not run.wishes.waits or (first and run.stop.number):
            return
        with clock.pausing():
            time.sleep(WAIT_S)


def obey(run: Run[Any], asked: Sequence[Due], report: Reporter) -> None:
    """Does what was asked, in all processes alike, and records it; or why it was refused."""
    told = run.processes.told(json.dumps([[each.request.model_dump(), each.again] for each in asked]))
    for raw, again in json.loads(told):
        request = REQUEST.validate_python(raw)
        at = {"step": run.standing.step, "seen": run.game.seen}
        run.clock.append("heard", id=request.id, seen=run.game.seen)
        refused = refusal(run, request)
        noted = {**at, **row(request), **({"refused": refused} if refused else {})}
        run.events.append("request", **noted)
        report(run.game.seen, {}, f"{request.who} asked: {request.do}" + (f", refused: {refused}" if refused else ""))
        run.wishes.heed(noted)
        if not (refused or (again and isinstance(request, NEVER_TWICE))):
            do(run, request, report)


def refusal(run: Run[Any], request: Request) -> str:
    """Why it cannot be done; empty where it can."""
    try:
        match request:
            case Set(knobs=knobs):
                run.fits(turned_to(run.standing.knobs, knobs))
            case Guard(mode="on"):
                run.mend()
            case Guard(mode="watch"):
                run.watch()
    except ValueError as error:  # pydantic's, and ConfigError
        return reason(error)
    return ""


def turned_to(knobs: Knobs, values: Mapping[str, Any]) -> Knobs:
    return Knobs.model_validate(knobs.model_dump() | dict(values))


def do(run: Run[Any], request: Request, report: Reporter) -> None:
    wishes = run.wishes
    match request:
        case Pause():
            wishes.paused, wishes.rounds = True, 0
        case Resume():
            wishes.paused, wishes.rounds = False, 0
        case Step(rounds=rounds):
            wishes.paused, wishes.rounds = True, rounds
        case Set(knobs=values, who=who):
            knobs = turned_to(run.standing.knobs, values)
            make(run, Change(knobs=knobs, reason=f"asked by {who}"), At(run.standing.step, run.game.seen), report)
            run.controller.overruled({name: knobs.model_dump()[name] for name in values})
        case Snapshot():
            save(run)
        case Guard() | Fork():
            pass  # heeded from here on; nothing to be done
    if isinstance(request, NEVER_TWICE):
        run.clock.append("waits" if wishes.paused else "goes on", step=run.standing.step)
