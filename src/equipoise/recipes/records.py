"""Records of patients: flags or counts. What they make is synthetic: see docs/how-to/medical.md."""

from __future__ import annotations

from equipoise.config import Adam, Evaluate, MadeUpRecords, Optim, RecordNets, TrainConfig
from equipoise.knobs import Knobs


def medical_records() -> TrainConfig:
    """medGAN (Choi et al. 2017, arXiv:1703.06490): codes of an autoencoder, a D that sees the mean of its batch, two
    steps of D for one of G, L2 of 1e-3 on both. `--data` is an .npz with `x` [N, d] and, if there are patients,
    `patient`; for counts `--set nets.values=counts`. Evaluate with --metrics records, and --privacy before anything is
    shared.

    On `made-up-records`, 2026-11-27, AMD EPYC, three seeds: R2 of the prevalences .976, .974 and .957 (after half
    of the run .967, .956 and .949), correlation error .051 to .053 (new records .026, columns alone .045), TSTR .703 to
    .706 beside TRTR .715 (`benchmarks/records.py --seeds 3`).
    """
    adam = Adam(betas=(0.9, 0.999))
    return TrainConfig(
        recipe="medical-records",
        kimg=4000,
        batch=500,
        data=MadeUpRecords(),
        nets=RecordNets(),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(loss="nonsaturating", g_lr=1e-3, d_lr=1e-3, d_steps=2, g_l2=1e-3, d_l2=1e-3, ema_halflife_kimg=10),
        evaluate=Evaluate(metrics=("records", "prdc", "copies"), best_by="prevalence_r2"),
    )
