"""Rows of results: appended as they come, never repeated, with the date, the hardware and the commit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from equipoise.environment import environment

RESULTS = Path(__file__).parent / "results"


class Record:
    """The JSONL file of one benchmark. A row is found again by its key, so that a killed benchmark goes on."""

    def __init__(self, name: str):
        self.path = RESULTS / f"{name}.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def has(self, key: Mapping[str, Any]) -> bool:
        return any(row["key"] == dict(key) for row in self.rows())

    def append(self, key: Mapping[str, Any], **figures: Any) -> dict[str, Any]:
        env = environment()
        row = {
            "key": dict(key), **figures,
            "date": datetime.now().isoformat(timespec="minutes"), "commit": commit(),
            "hardware": f"{env['processor']}, {env['cores']} cores, {env['cpu_capability']}",
            "torch": env["packages"]["torch"],
        }  # fmt: skip
        RESULTS.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return row


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip()
