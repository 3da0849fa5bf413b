"""python benchmarks/tables.py      the tables of benchmarks/README.md, from the rows in results/."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median
from typing import Any

from injection import alarms, outcomes
from record import Record
from scipy.stats import binomtest

Row = dict[str, Any]


def table(title: str, header: str, lines: Iterable[str]) -> None:
    columns = header.count("|") + 1
    print(f"\n**{title}**\n\n| {header} |\n|{'---|' * columns}", *(f"| {line} |" for line in lines), sep="\n")


def within(count: int, of: int) -> str:
    """The exact 95% interval of a rate (Clopper and Pearson 1934)."""
    interval = binomtest(count, of).proportion_ci(0.95) if of else None
    return f"95%: {interval.low:.3f} to {interval.high:.3f}" if interval else "none"


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


def speed() -> None:
    """Of plain: the ratio of medians, and the middle half of the ratios of single rounds."""
    table(
        "speed.py",
        "case, batch | arm | ms a step | of plain | middle half | rounds",
        (
            f"{r['key']['case']}, {r['key']['batch']} | {r['key']['arm']} | {r['ms']:.0f} | {r['of_plain']:.2f} "
            f"| {r['middle_half'][0]:.2f} to {r['middle_half'][1]:.2f} | {r['rounds']}"
            for r in Record("speed").rows()
        ),
    )


def quality() -> None:
    def cells(figures: Row) -> str:
        return f"{figures['precision']:.3f} | {figures['coverage']:.3f} | {figures['smallest_class']:.3f}"

    table(
        "quality.py",
        "case, seed, steps | net | precision | coverage | smallest class",
        (
            f"{r['key']['case']}, {r['key']['seed']}, {r['key']['steps']} | {r['key']['arm']}, {name} "
            f"| {cells(r[name])}"
            for r in Record("quality").rows()
            for name in ("generator", "average")
            if name in r
        ),
    )


def loading() -> None:
    rows = Record("loading").rows()
    table(
        "loading.py",
        "what | figures",
        (
            f"{r['key']['what']}, {r['key']['place']} | "
            + ", ".join(f"{k} {v}" for k, v in r.items() if k not in ("key", "date", "commit", "hardware", "torch"))
            for r in rows
        ),
    )


def planted() -> None:
    kinds = ("unreadable", "duplicates", "near-duplicates", "labels", "outliers")

    def cell(found: Row) -> str:
        return f"{found['precision']:.2f} / {found['recall']:.2f}"

    table(
        "planted.py: precision / recall",
        "set, seed | " + " | ".join(kinds) + " | s",
        (
            f"{r['key']['set']}, {r['key']['seed']} | {' | '.join(cell(r['by_kind'][k]) for k in kinds)} "
            f"| {r['seconds']:.0f}"
            for r in Record("planted").rows()
        ),
    )


def power() -> None:
    """Detection rates: a line for each defect, a column for each metric."""
    for r in Record("metric_power").rows():
        names = list(r["rates"]["nothing"])
        table(
            f"metric_power.py, {r['key']['set']}: {r['n']} fakes and reals, {r['key']['trials']} trials",
            "defect | " + " | ".join(names),
            (
                f"{defect} | " + " | ".join(f"{rates[name]:.2f}".lstrip("0") for name in names)
                for defect, rates in r["rates"].items()
            ),
        )


def real_against_real() -> None:
    shown = ("fd", "kid", "precision", "recall", "density", "coverage")

    def cell(value: float, low: float, high: float) -> str:
        return f"{value:.3g} ({low:.3g} to {high:.3g})"

    table(
        "real_against_real.py: training images in the place of fakes, with 95% intervals",
        "set, features, n | " + " | ".join(shown) + " | slope of log FD in log N",
        (
            f"{r['key']['set']}, {r['key']['features']}, {r['key']['n']} | "
            + " | ".join(cell(*r["figures"][name]) for name in shown)
            + f" | {r['slope']}"
            for r in Record("real_against_real").rows()
        ),
    )


def training_logs() -> None:
    """Rates with exact 95% intervals; steps are medians over the runs caught."""

    def rate(k: int, n: int, low: float, high: float) -> str:
        return f"{k} of {n} ({low:.2f} to {high:.2f})"

    def steps(found: dict[str, int]) -> str:
        return f"{median(found.values()):,.0f}" if found else ""

    table(
        "training_logs.py",
        "rule | degraded runs caught | other runs called worse | called early | steps before the end "
        "| steps after the best | against FID patience",
        (
            f"{r['key']['rule']} | {rate(r['caught'], r['degraded'], *r['caught_95'])} "
            f"| {rate(r['false'], r['healthy'], *r['false_95'])} | {r['early']} | {steps(r['steps_before_end'])} "
            f"| {steps(r['steps_after_best'])} | {r['against_patience']}"
            for r in Record("training_logs").rows()
        ),
    )


def guardian_power() -> None:
    """Power of each signal, in percent."""
    for r in Record("guardian_power").rows():
        key, signals = r["key"], list(r["false_alarms"])
        lines = {"false alarms": r["false_alarms"], **r["power"]}
        table(
            f"guardian_power.py: {key['set']}, {key['features']}, {r['looks_at']} samples a look "
            f"(encoder {r['encoder_s']:.0f} s, calibration {r['calibration_s']:.0f} s)",
            " | ".join(["planted", *signals]),
            (" | ".join([name, *(f"{rates.get(s, 0):.0%}" for s in signals)]) for name, rates in lines.items()),
        )


def least_samples() -> None:
    """From how many samples on each signal is armed, by the counts that were tried."""
    if not (rows := Record("least_samples").rows()):
        return
    cases = list(dict.fromkeys((r["key"]["set"], r["key"]["features"]) for r in rows))

    def cell(signal: str, case: tuple[str, str]) -> str:
        of_case = sorted(
            (r for r in rows if (r["key"]["set"], r["key"]["features"]) == case), key=lambda r: r["key"]["n"]
        )
        if all(signal not in r["sight"] for r in of_case):
            return "-"
        blind = [i for i, r in enumerate(of_case) if signal not in r["armed"]]
        first = blind[-1] + 1 if blind else 0
        return str(of_case[first]["key"]["n"]) if first < len(of_case) else f"more than {of_case[-1]['key']['n']}"

    signals = list(dict.fromkeys(signal for r in rows for signal in r["sight"]))
    table(
        "least_samples.py: samples in a look from which on a signal is armed",
        " | ".join(["signal", *(f"{name}, {features}" for name, features in cases)]),
        (" | ".join([signal, *(cell(signal, case) for case in cases)]) for signal in signals),
    )


def detection() -> None:
    rows = Record("detection").rows()
    table(
        "detection.py: runs that collapse",
        "seed | told | most modes, last modes | below half of the most at look | told at look | delay, looks",
        (
            f"{r['key']['seed']} | {', '.join(symptom for _, symptom, _ in r['found'][:2])} "
            f"| {max(n for _, n in r['modes'])}, {r['modes'][-1][1]} | {r['fell']} | {r['named']} | {r['delay']}"
            for r in rows
            if "collapse" in r["key"]
        ),
    )
    table(
        "detection.py: healthy runs",
        "recipe, seed | looks | alarms | told | s | watching",
        (
            f"{r['key']['healthy']}, {r['key']['seed']} | {r['looks']} | {r['alarms']} "
            f"| {', '.join(f'{symptom} ({severity})' for _, symptom, severity in r['found'])} "
            f"| {r['clock']['seconds']:.0f} | {r['clock'].get('seconds_watching', 0) / r['clock']['seconds']:.1%}"
            for r in rows
            if "healthy" in r["key"]
        ),
    )
    well = [r for r in rows if "healthy" in r["key"]]
    told = sum(r["alarms"] > 0 for r in well)
    print(f"\nHealthy runs with an alarm: {told} of {len(well)}, {within(told, len(well))}.")
    for r in rows:
        if "splits" in r["key"]:
            rates = ", ".join(
                f"{name} {fmean(each):.0%} ({min(each):.0%} to {max(each):.0%})" for name, each in r["beyond"].items()
            )
            print(
                f"\n{r['looks']} looks at real {r['key']['stream']} images on {r['key']['splits']} splits, beyond the "
                f"5% limits: {rates}; alarms: {r['alarms']}."
            )


def injection() -> None:
    rows = Record("injection").rows()
    found = outcomes(rows)
    everyone = [each for outcome in found.values() for each in outcome if each.harmed]
    table(
        "injection.py",
        "fault | runs | harmed | of these detected | and rightly named | unharmed, and told so",
        (
            f"{name} | {len(each)} | {sum(o.harmed for o in each)} | {sum(o.harmed and o.detected for o in each)} "
            f"| {sum(o.harmed and o.named for o in each)} | {sum(o.detected and not o.harmed for o in each)}"
            for name, each in found.items()
        ),
    )
    shams = [row for row in rows if row["key"]["fault"] in ("sham", "twin")]
    detected, named = sum(o.detected for o in everyone), sum(o.named for o in everyone)
    false = sum(bool(alarms(r)) for r in shams)
    print(
        f"\nHarmed {len(everyone)}, detected {detected} ({within(detected, len(everyone))}), rightly named {named} "
        f"({within(named, len(everyone))}). Runs without a fault: {len(shams)}, with an alarm after the time of one: "
        f"{false} ({within(false, len(shams))})."
    )


def cell_of(figure: list[float | None], digits: int = 3) -> str:
    """With its interval."""
    value, *ends = (f"{x:.{digits}f}" for x in figure if x is not None)
    return f"{value} ({' to '.join(ends)})" if ends else value


def medical() -> None:
    """`both` and `tstr` beside `trtr`, which is that of the training images."""
    names = ("kid", "coverage", "copies", "tstr", "both")
    table(
        "medical.py: medical-image",
        "set, seed or control | kid | coverage | copies | right, taught by samples | by both | by training images "
        "| of the more frequent class",
        (
            f"{r['key']['set']}, {r['key'].get('arm', r['key'].get('seed'))} | "
            + " | ".join(cell_of(r[name]) for name in names)
            + f" | {cell_of(r.get('trtr', r['tstr']))} | {r['chance']:.3f}"
            for r in Record("medical").rows()
        ),
    )


def mri() -> None:
    table(
        "mri.py: pre-contrast into FLAIR, test patients",
        "arm, seed | PSNR in the head, dB | SSIM | KID",
        (
            f"{r['key']['arm']}, {r['key'].get('seed', '-')} | {cell_of(r['psnr'], 2)} | {cell_of(r['ssim'])} "
            f"| {cell_of(r['kid'], 4)}"
            for r in Record("mri").rows()
        ),
    )


def metric_speed() -> None:
    table(
        "metric_speed.py",
        "case | arm | s | of the usual | peak MB | largest difference",
        (
            f"{r['key']['case']} of {' x '.join(map(str, r['key']['features']))} | {r['key']['arm']} | {r['seconds']} "
            f"| {r['of_usual']:.2f} | {r['peak_mb']} | {r['largest_difference']:.1g}"
            for r in Record("metric_speed").rows()
        ),
    )


if __name__ == "__main__":
    for show in (
        power,
        real_against_real,
        metric_speed,
        training_logs,
        guardian_power,
        least_samples,
        detection,
        injection,
        speed,
        quality,
        loading,
        planted,
        digits,
        ring,
        stacked,
        overhead,
        medical,
        mri,
    ):
        show()
    last = Record("digits").rows()[-1]
    print(f"\n{last['date']}, {last['hardware']}, torch {last['torch']}")
