"""python benchmarks/tables.py      the tables of benchmarks/README.md, from the rows in results/."""

from __future__ import annotations

import augmentation
import collapse
import conditional
import detection
import digits
import guardian_power
import injection
import large
import least_samples
import loading
import medical
import metric_power
import metric_speed
import mri
import overhead
import planted
import quality
import real_against_real
import ring
import small_data
import speed
import stacked
import steps
import training_logs
import zoo
from record import Record

if __name__ == "__main__":
    for benchmark in (
        metric_power,
        real_against_real,
        metric_speed,
        training_logs,
        guardian_power,
        least_samples,
        detection,
        injection,
        speed,
        steps,
        quality,
        loading,
        planted,
        digits,
        ring,
        stacked,
        zoo,
        conditional,
        collapse,
        small_data,
        augmentation,
        large,
        medical,
        mri,
        overhead,
    ):
        benchmark.report()
    if rows := Record("digits").rows():
        print(f"\n{rows[-1]['date']}, {rows[-1]['hardware']}, torch {rows[-1]['torch']}")
