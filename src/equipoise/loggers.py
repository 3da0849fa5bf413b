"""The numbers of a run, sent to others' programs as well: TensorBoard, Weights & Biases, MLflow, a CSV file.

Off unless `log.to` names some. The run's own record is `events.jsonl`; what is sent is a copy of its numbers, over
`seen`, and nothing that a logger does or fails to do changes the run.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol, assert_never

from equipoise.config import LoggerName, TrainConfig
from equipoise.data.hooks import Warn
from equipoise.errors import MachineError
from equipoise.runs.events import Log, Record
from equipoise.runs.folder import RunFolder

NEEDS: Mapping[LoggerName, tuple[str, ...]] = {  # any one of these packages
    "tensorboard": ("tensorboard", "tensorboardX"), "csv": (), "wandb": ("wandb",), "mlflow": ("mlflow",),
}  # fmt: skip
PROJECT = "equipoise"


class Logger(Protocol):
    """What Fabric's loggers have in common."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None: ...

    def finalize(self, status: str) -> None: ...


def require_installed(names: Sequence[LoggerName]) -> None:
    """Raises MachineError for a logger whose package is missing: before a run has a folder."""
    for name in names:
        if NEEDS[name] and not any(map(find_spec, NEEDS[name])):
            raise MachineError(
                f"log.to={name} needs {NEEDS[name][0]}, which is not installed: pip install equipoise[logging]"
            )


class Sending:
    """A run's record, whose numbers are sent on. A logger that fails is told of, and left out from then on."""

    def __init__(self, log: Log, loggers: Mapping[str, Logger], warn: Warn):
        self.log, self.loggers, self.warn = log, dict(loggers), warn

    def append(self, kind: str, **values: Any) -> None:
        self.log.append(kind, **values)
        numbers = {name: value for name, value in named(kind, values) if math.isfinite(value)}
        if not numbers:
            return
        for name, logger in list(self.loggers.items()):
            try:
                logger.log_metrics(numbers, step=values["seen"])
            except Exception as error:  # whatever others' code raises: the run is not theirs to end
                self.warn(f"{name} failed and is left out from now on: {reason(error)}")
                del self.loggers[name]

    def state_dict(self) -> dict[str, int]:
        return self.log.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.log.load_state_dict(state)

    def close(self) -> None:
        self.log.close()
        for name, logger in self.loggers.items():
            try:
                logger.finalize("success")
            except Exception as error:
                self.warn(f"{name} could not be closed: {error}")


def named(kind: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a row, by the names that others show them under."""
    match kind:
        case "signals":
            own = (item for item in values.items() if item[0] not in ("step", "seen"))
            yield from ((f"signals/{key}", float(value)) for key, value in own)
        case "metrics":
            where = f"figures/{values['net']}" + ("/test" if values["part"] == "test" else "")
            yield from ((f"{where}/{key}", float(figure["value"])) for key, figure in values["figures"].items())
        case "look":
            yield from ((f"look/{key}", float(value)) for key, value in values["signals"].items())


def sending(record: Record, config: TrainConfig, run: RunFolder, warn: Warn) -> Record:
    """The record of a run, whose numbers go to loggers as well where the config names some."""
    if not (config.log.to and isinstance(record, Log)):
        return record
    require_installed(config.log.to)  # a run may be resumed elsewhere
    return Sending(record, opened(config.log.to, run, config.model_dump(mode="json"), warn), warn)


def opened(names: Sequence[LoggerName], run: RunFolder, config: Mapping[str, Any], warn: Warn) -> dict[str, Logger]:
    """Loggers that write below the run. A resumed run writes beside what it wrote before, and tries one again that
    could not be opened and was left out."""
    found: dict[str, Logger] = {}
    for name in names:
        try:
            found[name] = one(name, run, config)
        except Exception as error:  # no account, no server: as in Sending.append
            warn(f"{name} could not be opened and is left out until the run is resumed: {reason(error)}")
    return found


def reason(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def one(name: LoggerName, run: RunFolder, config: Mapping[str, Any]) -> Logger:
    match name:
        case "tensorboard":
            from lightning_fabric.loggers.tensorboard import TensorBoardLogger

            return TensorBoardLogger(run.logs, name=name)
        case "csv":
            from lightning_fabric.loggers.csv_logs import CSVLogger

            return CSVLogger(run.logs, name=name, flush_logs_every_n_steps=1)
        case "wandb":
            return WandB(run, config)
        case "mlflow":
            return MLflow(run)
        case other:
            assert_never(other)


class WandB:
    """Fabric has none. Offline unless WANDB_MODE says otherwise: nobody's training needs an account."""

    def __init__(self, run: RunFolder, config: Mapping[str, Any]):
        import wandb

        place = run.logs / "wandb"
        place.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=PROJECT, name=run.path.resolve().name, dir=place, config=dict(config),
            mode=os.environ.get("WANDB_MODE", "offline"),
        )  # fmt: skip

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.run.log(dict(metrics) | {"seen": step})

    def finalize(self, status: str) -> None:
        self.run.finish()


class MLflow:
    """Fabric has none. To MLFLOW_TRACKING_URI, or into a database below the run."""

    def __init__(self, run: RunFolder):
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        place = run.logs / "mlflow"
        place.mkdir(parents=True, exist_ok=True)
        self.metric = Metric
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or place.resolve().as_uri())
        known = self.client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self.client.create_experiment(PROJECT)
        self.id = self.client.create_run(experiment, run_name=run.path.resolve().name).info.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        now = round(1000 * time.time())  # ms, as MLflow counts
        self.client.log_batch(self.id, [self.metric(name, value, now, step or 0) for name, value in metrics.items()])

    def finalize(self, status: str) -> None:
        self.client.set_terminated(self.id)
