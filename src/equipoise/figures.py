"""What was measured of a run, as its folder holds it, and what each figure means. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from equipoise.runs.folder import RunFolder, rows

Row = Mapping[str, Any]


class Meaning(NamedTuple):
    title: str  # within a sentence
    better: Literal["lower", "higher", ""]  # nothing: neither is better by itself
    about: str


MEANINGS = {
    "fd": Meaning("Frechet distance", "lower", "between Gaussians fitted to the features of reals and of fakes"),
    "fid": Meaning("FID", "lower", "the Frechet distance in the features of Inception"),
    "kid": Meaning("KID", "lower", "squared kernel distance of the features; 0 on average for equal distributions"),
    "is": Meaning("Inception Score", "higher", "how sure the classes are and how evenly they occur; 1 to their number"),
    "precision": Meaning("precision", "higher", "share of fakes that lie among reals: how good they look"),
    "recall": Meaning("recall", "higher", "share of reals that lie among fakes: how much of the data is drawn"),
    "density": Meaning("density", "higher", "how deep among reals the fakes lie; 1 for equal distributions"),
    "coverage": Meaning("coverage", "higher", "share of reals with a fake nearby: how much of the data is drawn"),
    "vendi": Meaning("Vendi score", "", "effective number of different samples"),
    "vendi_ratio": Meaning(
        "Vendi ratio", "higher", "the Vendi score over that of as many reals; below 1: less diverse"
    ),
    "effective_rank": Meaning("effective rank", "", "effective number of directions that the samples vary in"),
    "effective_rank_ratio": Meaning(
        "effective rank ratio", "higher", "the effective rank over that of as many reals; below 1: less diverse"
    ),
    "ndb": Meaning("NDB", "lower", "share of bins of the data that are drawn too often or too rarely"),
    "jsd": Meaning("JSD", "lower", "Jensen-Shannon divergence between the bins of reals and of fakes"),
    "classes": Meaning("classes", "", "how many of the encoder's classes are drawn at all"),
    "effective_classes": Meaning("effective classes", "", "how many classes drawn evenly would be as varied"),
    "reverse_kl": Meaning(
        "reverse KL", "lower", "divergence of the classes of fakes from what they should be, in nats"
    ),
    "swd": Meaning(
        "sliced Wasserstein distance", "lower", "distance of small patches of the pictures, over all scales"
    ),
    "pairwise_ms_ssim": Meaning("pairwise MS-SSIM", "", "how alike two fakes are on average"),
    "copy_rate": Meaning("copy rate", "lower", "share of fakes nearer to a training image than held-out reals are"),
    "c_t": Meaning("C_T", "", "below -3: nearer to training images than held-out reals are; above 3: farther"),
    "nearest_person": Meaning(
        "nearest person", "", "distance of fakes to training people over that of held-out people; far below 1: copies"
    ),
    "copied": Meaning("copied", "lower", "share of fakes nearer to training data than 95% of held-out people are; .05"),
    "membership": Meaning("membership", "lower", "how often one can tell from fakes who was learnt from; .5 by chance"),
    "prevalence_r2": Meaning("R2 of prevalences", "higher", "how well the means of columns agree; 1 for equal ones"),
    "correlation_error": Meaning("correlation error", "lower", "mean difference of the correlations of two columns"),
    "tstr_auc": Meaning("TSTR", "higher", "AUC of what is learned from fakes and judged on reals; .5 is chance"),
    "trtr_auc": Meaning("TRTR", "", "the same, learned from reals: what TSTR can reach"),
    "repeat_chance": Meaning("repeat chance", "lower", "chance that two fakes are as near as the nearest reals"),
    "repeat_chance_of_reals": Meaning("repeat chance of reals", "", "the same of the reals, to compare with"),
    "two_sample": Meaning(
        "two-sample test", "lower", "how often a classifier tells reals from fakes; .5 when it cannot"
    ),
    "path_length": Meaning("path length", "lower", "how much a picture changes with a small step of its latent"),
    "duality_gap": Meaning("duality gap", "lower", "how much the players could still win, each moving alone"),
    "ssim": Meaning("SSIM", "higher", "structural similarity of each picture with its own; 1 for equal ones"),
    "ms_ssim": Meaning("MS-SSIM", "higher", "the same over five scales"),
    **{
        f"bleu_{n}": Meaning(f"BLEU-{n}", "higher", "how much of the fakes stands so in held-out sentences")
        for n in range(2, 6)
    },
    **{
        f"back_bleu_{n}": Meaning(f"backward BLEU-{n}", "higher", "how much of held-out sentences the fakes say")
        for n in range(2, 6)
    },
    **{
        f"self_bleu_{n}": Meaning(f"self-BLEU-{n}", "lower", "how much of a fake stands so in other fakes")
        for n in range(2, 6)
    },
    **{
        f"distinct_{n}": Meaning(f"distinct-{n}", "higher", f"share of {n}-grams that are different")
        for n in range(1, 5)
    },
    "repeats": Meaning("repeats", "lower", "share of fakes that are another one, word for word"),
    **{
        f"self_bleu_{n}_of_reals": Meaning(f"self-BLEU-{n} of reals", "", "the same of the reals, to compare with")
        for n in range(2, 6)
    },
    "repeats_of_reals": Meaning("repeats of reals", "", "the same of the reals, to compare with"),
    "verbatim_of_reals": Meaning("verbatim, of reals", "", "the same of the reals, to compare with"),
    "verbatim": Meaning("verbatim", "lower", "share of fakes that stand word for word in the training data"),
    "lm_perplexity": Meaning("LM score", "lower", "perplexity of fakes for a model of held-out sentences"),
    "reverse_lm_perplexity": Meaning(
        "reverse LM score", "lower", "perplexity of held-out sentences for a model of fakes"
    ),
    "style_accuracy": Meaning("style accuracy", "higher", "share of sentences that have the style that was asked for"),
    "style_accuracy_of_copies": Meaning("style accuracy of copies", "", "the same of sentences left as they are"),
    "style_kept": Meaning("self-BLEU to the source", "higher", "how much is kept of what was to be told otherwise"),
    "style_score": Meaning("style score", "higher", "geometric mean of style accuracy and what is kept"),
    "style_perplexity": Meaning("style perplexity", "lower", "of sentences for a model of the style asked for"),
    "psnr": Meaning("PSNR", "higher", "signal over noise of each picture against its own, in dB"),
}


def meaning(name: str) -> Meaning:
    return MEANINGS.get(name, Meaning(name.replace("_", " "), "", ""))


@dataclass(frozen=True)
class Figure:
    """A figure with its 95% interval, as it stands in a record; without one where `low` and `high` are None."""

    value: float
    low: float | None
    high: float | None
    n_fake: int
    n_real: int
    protocol: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """The figures of one generator at one time."""

    seen: int | None  # images that D had seen; None where the record does not say
    net: str  # average, generator or best; of `equipoise evaluate`, the checkpoint
    part: str  # of the data that it was held against
    figures: Mapping[str, Figure]

    @property
    def source(self) -> str:
        return f"{self.net} against {self.part}"


def history(events: Iterable[Row]) -> list[Measured]:
    """All rows `metrics` of a run's events, in order, with the protocols of the rows `protocol` before them."""
    found: list[Measured] = []
    protocols: dict[str, Row] = {}
    for row in events:
        if row["kind"] == "protocol":
            protocols[row.get("part", "validation")] = row["figures"]
        elif row["kind"] == "metrics":
            told = protocols.get(row["part"]) or elsewhere(protocols.get("validation", {}), row["part"])
            found.append(Measured(row["seen"], row["net"], row["part"], figures(row["figures"], told)))
    return found


def elsewhere(protocols: Row, part: str) -> Row:
    """The same protocols on another part of the data."""
    return {name: {**protocol, "data": {"part": part}} for name, protocol in protocols.items()}


def evaluated(row: Row) -> Measured:
    """A row of evaluations.jsonl."""
    checkpoint = row.get("checkpoint")
    net = "samples" if checkpoint is None else f"checkpoint {checkpoint}"
    return Measured(None, net, str(row["against"]), figures(row["metrics"], {}))


def final(run: RunFolder) -> Measured | None:
    """The figures that a run ends with: of its best generator against test data, or else of its newest evaluation."""
    return final_of(run, history(rows(run.events)))


def final_of(run: RunFolder, measured: Iterable[Measured]) -> Measured | None:
    """The same of a run whose record was read."""
    at_end = [one for one in measured if (one.net, one.part) == ("best", "test")]
    return at_end[-1] if at_end else newest(run)


def newest(run: RunFolder) -> Measured | None:
    """The last that `equipoise evaluate` found of a run."""
    found = [evaluated(row) for row in rows(run.evaluations) if row["kind"] == "evaluation"]
    return found[-1] if found else None


def figures(raw: Row, protocols: Row) -> dict[str, Figure]:
    return {name: figure(one, one.get("protocol") or protocols.get(name, {})) for name, one in raw.items()}


def figure(raw: Row, protocol: Row) -> Figure:
    """Numbers that are not finite are words in a record: float() reads them."""
    low, high = (None if raw.get(end) is None else float(raw[end]) for end in ("low", "high"))
    return Figure(float(raw["value"]), low, high, raw["n_fake"], raw["n_real"], protocol)


def protocols(figures: Mapping[str, Figure]) -> tuple[str, dict[str, str]]:
    """In words: what most of the figures depend on, and for each of them in what it departs from that."""
    stated = {name: terms(figure) for name, figure in figures.items()}
    often = Counter(term for each in stated.values() for term in each.items())
    usual = dict(term for term, times in often.items() if 2 * times > len(figures))
    own = {
        name: listed({key: each.get(key, "none") for key in [*usual, *each] if each.get(key) != usual.get(key)})
        for name, each in stated.items()
    }
    return listed(usual), own


def terms(figure: Figure) -> dict[str, str]:
    """What a figure depends on, flat and short enough to be read."""
    named = {"samples": f"{figure.n_fake:,}", "reals": f"{figure.n_real:,}"}
    if "features" in figure.protocol:
        named["features"] = net(figure.protocol["features"])
    others = {key: value for key, value in figure.protocol.items() if key not in ("features", "metric")}
    return named | {key.replace("_", " "): brief(key, value) for key, value in flat(others).items()}


def listed(terms: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in terms.items())


def net(features: Any) -> str:
    """A feature net: its name, and which weights it has."""
    if not isinstance(features, Mapping):
        return str(features)
    sha256 = features.get("sha256")
    return f"{features.get('name')} (sha256 {brief('sha256', sha256)})" if sha256 else str(features.get("name"))


def brief(key: str, value: Any) -> str:
    return f"{str(value)[:8]}.." if key.endswith("sha256") else str(value)


def flat(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"data": {"part": "test"}}` as `{"data.part": "test"}`."""
    found: dict[str, Any] = {}
    for key, value in raw.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found
