"""A run in a terminal: the page's verdict, and its curves as small as words."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from equipoise.dashboard.digest import Digest
from equipoise.dashboard.shown import shown
from equipoise.runs.folder import RunFolder
from equipoise.words import number

BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 40  # characters of a curve
STYLES = {"good": "bold green", "bad": "bold yellow", "unsure": "bold"}
CURVES = {  # key -> what it is called, in the order in which they are shown
    "steps": {"d_accuracy": "D is right", "real_logit": "D of reals", "fake_logit": "D of fakes",
              "d_loss": "loss of D", "g_loss": "loss of G", "d_grad_norm": "gradient of D",
              "g_grad_norm": "gradient of G"},
    "looks": {"shortfall": "shortfall", "modes": "bins filled", "coverage": "covered", "precision": "precision",
              "motion": "motion", "copy_rate": "copies"},
}  # fmt: skip


def follow(run: RunFolder, every_s: float, *, once: bool) -> None:
    """Until the run ends, or Ctrl-C."""
    digest, console = Digest(run), Console()
    while digest.refresh() or digest.behind:
        pass
    if once or not console.is_terminal:
        console.print(drawn(digest))
        return
    with Live(drawn(digest), console=console, auto_refresh=False, screen=False) as live:
        while digest.state() in ("running", "paused"):
            time.sleep(every_s)
            digest.refresh()
            live.update(drawn(digest), refresh=True)


def drawn(digest: Digest) -> Group:
    told = shown(digest)
    answer = told["verdict"]
    head = Text.assemble((f"{answer['symbol']} {answer['word']}", STYLES[answer["mood"]]), f"  {answer['sentence']}")
    part = min(1.0, told["seen"] / told["images"])
    facts = [f"{told['state']}, {part:.0%}", told["left"]["words"]]
    facts += [f"last checkpoint: step {told['last']['step']:,}"] if told["last"] else []
    facts += [f"best: step {told['best']['step']:,}"] if told["best"] else []
    table = Table(box=None, pad_edge=False, show_header=False)
    for source, names in CURVES.items():
        curves = getattr(digest, source).told(list(names))["curves"]
        for key, name in names.items():
            values = [value for value in curves.get(key, [[]])[0] if value is not None]
            if values:
                table.add_row(name, sparkline(values), number(values[-1]))
    events = [f"  {each['seen'] / 1000:.3g} kimg  {each['cause']}: {each['act']}" for each in told["timeline"][-4:]]
    said = [one for each in told["answers"][1:] for one in each["said"]]
    words = [f"  {one['words']} {one['command']}".rstrip() for one in said]
    parts: list[Text | Table] = [
        Text(f"{told['name']}  ({told['recipe']})", "bold"),
        head,
        Text("; ".join(filter(None, facts))),
        table,
    ]
    return Group(*parts, Text("\n".join([*events, *words])))


def sparkline(values: Sequence[float], wide: int = WIDE) -> str:
    """The means of so many parts, between the least and the largest of them."""
    n = min(wide, len(values))
    parts = [values[len(values) * i // n : len(values) * (i + 1) // n] for i in range(n)]
    means = [sum(part) / len(part) for part in parts]
    least, extent = min(means), max(means) - min(means)
    return "".join(
        BLOCKS[round((value - least) / extent * (len(BLOCKS) - 1))] if extent else BLOCKS[0] for value in means
    )
