"""Histories of runs that nobody played: one that learns, and falls ill from some look on."""

from __future__ import annotations

import numpy as np

from equipoise.diagnosis.calibration import Calibration, Null
from equipoise.diagnosis.history import Look
from equipoise.diagnosis.signs import OF_SAMPLES

SEEN = 1000  # reals between looks
LOOKS, AT = 24, 18  # in all, and the first ill one
BINS = 20
NULLS = {
    "coverage": (0.967, 0.006), "jsd": (0.014, 0.002), "missing": (0.001, 0.002), "class_jsd": (0.003, 0.001),
    "vendi": (1.0, 0.01), "rank": (1.0, 0.003), "precision": (0.87, 0.011), "apart": (1.0, 0.02),
    "spread": (1.0, 0.03), "copy_rate": (0.05, 0.007), "c_t": (0.0, 1.0),
}  # fmt: skip
DEFECTS = sorted({defect for sign in OF_SAMPLES.values() for defect in sign.sees})

# a run that learns: (its first look, where it comes to rest, deviation from look to look)
HEALTHY = {
    "coverage": (0.10, 0.85, 0.012), "jsd": (0.50, 0.06, 0.006), "missing": (0.70, 0.02, 0.01),
    "class_jsd": (0.40, 0.015, 0.003), "vendi": (0.40, 0.95, 0.01), "rank": (1.10, 1.02, 0.005),
    "precision": (0.40, 0.80, 0.012), "density": (0.15, 0.80, 0.02), "apart": (1.40, 1.10, 0.02),
    "spread": (3.50, 1.20, 0.04), "copy_rate": (0.00, 0.05, 0.007), "c_t": (30.0, 2.0, 1.0),
    "obeyed": (0.00, 0.95, 0.02),
    "d_auc": (0.51, 0.53, 0.02), "d_gap": (0.02, 0.05, 0.02), "d_tells": (0.90, 0.72, 0.03),
    "paired_sign": (0.80, 0.45, 0.05), "motion": (0.50, 0.25, 0.015), "g_dead": (0.10, 0.10, 0.01),
    "d_dead": (0.05, 0.05, 0.01), "d_grad_norm": (1.50, 1.85, 0.09), "d_grad_norm_peak": (4.0, 4.0, 0.8),
    "g_grad_norm": (1.10, 1.20, 0.06), "g_grad_norm_peak": (2.0, 2.0, 0.4),
}  # fmt: skip


def calibration(*blind):
    """One in which every signal sees its defects but those that are `blind`."""
    nulls = {
        name: Null(mean, sd, mean + (-1.65 if OF_SAMPLES[name].bad == "low" else 1.65) * sd, 0.05)
        for name, (mean, sd) in NULLS.items()
    }
    power = {defect: {name: 0.05 if name in blind else 1.0 for name in nulls} for defect in DEFECTS}
    return Calibration(1000, "classifier", nulls, power, trials=20)


def played(seed=0, looks=LOOKS, at=AT, swaps=False, without=(), pace=2.5, **ill):
    """A run that learns and then falls ill: from look `at` on, the signals of `ill` stand where they are told to."""
    draw = np.random.default_rng(seed)
    history = []
    for i in range(looks):
        rest = {name: to + (start - to) * np.exp(-i / pace) for name, (start, to, _) in HEALTHY.items()}
        if i >= at:
            rest |= ill
        signals = {name: value * 1.0 + noise(name, value, draw) for name, value in rest.items() if name not in without}
        p = np.ones(BINS) / BINS
        if swaps and i >= at:
            p = np.repeat([1, 0] if i % 2 else [0, 1], BINS // 2) / (BINS // 2)
        history.append(Look(SEEN * (i + 1), signals, list(draw.multinomial(1000, p) / 1000)))
    return history


def noise(name, value, draw):
    """What is near one of its ends cannot go beyond; norms tremble by a share of themselves."""
    to, deviation = HEALTHY.get(name, (0, 0, 0))[1:]
    if name.endswith("_nonfinite"):
        return 0.0
    if "norm" in name:
        return value * deviation / to * draw.normal()
    if name in ("d_tells", "paired_sign", "g_dead", "d_dead"):
        deviation = min(deviation, (1 - value) / 4)
    return max(deviation * draw.normal(), -value if value >= 0 and name != "c_t" else -np.inf)


FALLEN = {"coverage": 0.6, "jsd": 0.22, "missing": 0.3, "class_jsd": 0.2, "vendi": 0.7}
COLLAPSED = {
    "apart": 0.02, "coverage": 0.03, "jsd": 0.6, "missing": 0.95, "class_jsd": 1.6, "vendi": 0.1, "rank": 0.2,
    "spread": 0.02, "precision": 0.95, "density": 1.5,
}  # fmt: skip
ILL = {
    "divergence": {"d_grad_norm": 40, "d_grad_norm_peak": 400},
    "total collapse": COLLAPSED,
    "partial collapse": FALLEN,
    "imbalance": {"jsd": 0.15, "class_jsd": 0.12},
    "shrinkage": {"spread": 0.6, "apart": 0.6, "vendi": 0.7, "rank": 0.8},
    "quality loss": {"precision": 0.4, "density": 0.3, "coverage": 0.6},
    "memorising": {"copy_rate": 0.4, "c_t": -9.0},
    "labels ignored": {"obeyed": 0.05},
    "D overfitting": {"d_auc": 0.75, "d_gap": 1.0},
    "D too weak": {"d_tells": 0.2, "paired_sign": -0.6},
    "cycling": {"motion": 0.9, "swaps": True},
    "vanishing gradients": {"g_grad_norm": 1e-4, "g_grad_norm_peak": 2e-4},
    "exploding gradients": {"g_grad_norm": 24, "g_grad_norm_peak": 40},
    "dead units": {"g_dead": 0.97},
}  # fmt: skip
