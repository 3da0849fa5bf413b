"""python benchmarks/tables.py      the tables of benchmarks/README.md, from the rows in results/."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from record import Record

Row = dict[str, Any]


def table(title: str, header: str, lines: Iterable[str]) -> None:
    columns = header.count("|") + 1
    print(f"\n**{title}**\n\n| {header} |\n|{'---|' * columns}", *(f"| {line} |" for line in lines), sep="\n")


def verdict(row: Row) -> str:
    return "yes" if row["passed"] else "no"


def digits() -> None:
    def line(r: Row) -> str:
        figures = ("smallest_class", "precision", "recall", "coverage", "copies_in_features", "copies_in_pixels")
        return " | ".join(
            [f"{r['key']['recipe']} {r['key']['seed']}", *(f"{r[f]:.3f}" for f in figures),
             str(r["clock"]["step"]), f"{r['clock']['seconds']:.0f}", verdict(r)]
        )  # fmt: skip

    rows = Record("digits").rows()
    ceiling = rows[0]["ceiling"]
    table(
        "digits.py",
        "recipe, seed | smallest class | precision | recall | coverage | copies, features | copies, pixels | steps | s "
        "| all targets",
        map(line, rows),
    )
    print(
        f"\nTraining images as samples: precision {ceiling['precision']:.3f}, coverage {ceiling['coverage']:.3f}."
        f" Limit of copies {rows[0]['copy_limit']:.3f}."
        f" Classifier on held-out digits {rows[0]['classifier_accuracy']:.3f}."
    )


def ring() -> None:
    def line(r: Row) -> str:
        key = r["key"]
        name = f"{key['recipe']}, {key.get('control', key.get('seed'))}"
        seconds = f"{r['clock']['seconds']:.1f}" if "clock" in r else ""
        return (
            f"{name} | {r['modes']} | {r['high_quality']:.3f} | {r['smallest_share_of_fair']:.2f} | {r['spread']:.2f} "
            f"| {seconds} | {verdict(r)}"
        )

    header = (
        "recipe, seed or control | modes | within 3 sigma | smallest share of fair | spread (1 is right) | s | passed"
    )
    table("ring.py", header, map(line, Record("ring").rows()))


def stacked() -> None:
    rows = Record("stacked").rows()
    recipes = [r for r in rows if "sweep" not in r["key"]]
    table(
        "stacked.py, the recipes",
        "recipe, seed | modes | KL | s",
        (
            f"{r['key']['recipe']}{' on the nets ' + r['key']['nets'] if 'nets' in r['key'] else ''}, "
            f"{r['key']['seed']} | {r['modes']} | {r['kl']:.3f} | {r['clock']['seconds']:.0f}"
            for r in recipes
        ),
    )
    swept = {(r["key"]["recipe"], *r["key"]["sweep"].values()): r for r in rows if "sweep" in r["key"]}
    settings = sorted({key[1:] for key in swept}, key=str)
    names = ("stacked-digits", "stacked-digits-ns")
    table(
        "stacked.py, the sweep: modes (KL) after 2,500 steps, seed 0",
        "lr | beta1 | init | stacked-digits | stacked-digits-ns",
        (
            f"{lr:g} | {beta1:g} | {init} | "
            + " | ".join(cell(swept.get((name, lr, beta1, init))) for name in names)
            for lr, beta1, init in settings
        ),
    )  # fmt: skip


def cell(row: Row | None) -> str:
    return f"{row['modes']} ({row['kl']:.2f})" if row else "not run"


def overhead() -> None:
    for row in Record("overhead").rows():
        print(f"\n{ {k: v for k, v in row.items() if k not in ('date', 'commit', 'hardware', 'torch')} }")


if __name__ == "__main__":
    for show in (digits, ring, stacked, overhead):
        show()
    last = Record("digits").rows()[-1]
    print(f"\n{last['date']}, {last['hardware']}, torch {last['torch']}")
