"""What the guardian finds in the record of a run that was played before: its looks do not depend on its rules."""

from __future__ import annotations

from pathlib import Path

from equipoise.config import read
from equipoise.diagnosis.history import Look
from equipoise.diagnosis.watch import Watch
from equipoise.guardian import BURN_IN
from equipoise.reports.looks import calibrated
from equipoise.runs.folder import RunFolder, rows

Found = list[tuple[int, str, str]]  # images seen, symptom, severity


def replayed(run: Path) -> Found:
    """All findings, in order; the end of a run that left the finite numbers is one of them."""
    record = rows(RunFolder(run).events)
    watch = Watch(calibrated(record), round(BURN_IN * read(RunFolder(run).config).images))
    found: Found = []
    for row in record:
        if row["kind"] == "look":
            watch.history.append(Look(row["seen"], row["signals"], row["shares"]))
            found += [(row["seen"], finding.symptom, finding.severity) for finding in watch.news()]
        elif row["kind"] == "diverged":
            found.append((row["seen"], "divergence", "severe"))
    return found
