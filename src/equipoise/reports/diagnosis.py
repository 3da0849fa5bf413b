"""What is wrong with a run, or with the log of any trainer: one word, and the findings behind it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from equipoise.diagnosis import trainer_log
from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.trainer_log import Found
from equipoise.reports import trainer_csv
from equipoise.runs.folder import RunFolder, existing, rows


@dataclass(frozen=True)
class Diagnosis:
    verdict: str
    findings: Sequence[Found]  # the worst first
    notes: tuple[str, ...] = ()  # what was not read or not judged

    @property
    def is_severe(self) -> bool:
        return any(finding.severity == "severe" for _, finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "findings": [{"step": step, **asdict(each)} for step, each in self.findings]}


def of(path: Path) -> Diagnosis:
    """Of a run folder, or of a CSV file.

    Raises:
        ConfigError: for a folder that holds no run.
        DataError: for a file that is no such log.
    """
    return of_run(existing(path)) if path.is_dir() else of_log(path)


def of_log(path: Path) -> Diagnosis:
    log, notes = trainer_csv.read(path)
    return diagnosis(trainer_log.findings(log), (*notes, *trainer_log.unarmed(log)))


def of_run(run: RunFolder) -> Diagnosis:
    """The findings that the run wrote down itself: the newest of each symptom."""
    newest = {row["symptom"]: found(row) for row in rows(run.events) if row["kind"] == "finding"}
    return diagnosis(sorted(newest.values(), key=lambda each: trainer_log.order(each[1])))


def found(row: Mapping[str, Any]) -> Found:
    names = ("symptom", "severity", "evidence", "meaning", "advice")
    return row["step"], Finding(**{name: row[name] for name in names}, source=row.get("source", ""))


def diagnosis(findings: Sequence[Found], notes: tuple[str, ...] = ()) -> Diagnosis:
    return Diagnosis(trainer_log.verdict(finding for _, finding in findings), findings, notes)
