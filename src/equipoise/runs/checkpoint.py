"""Checkpoints: everything that the next step depends on, written so that a crash leaves the old or the new one.

`checkpoints/step-000012000/` holds `state.pt` and `manifest.json`. Both are written into a temporary folder and
synced, the manifest last, then the folder is renamed and its parent synced. A folder with that name is complete;
the SHA-256 sums in the manifest tell whether it is also undamaged.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from equipoise.errors import Damaged, Diverged, StorageError

SCHEMA = 1


class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Registry:
    """All state of a run, by name: 'game.G', 'batches.position', ... Strict: nothing missing, nothing unknown."""

    def __init__(self, **parts: Stateful):
        self.parts = parts

    def state(self) -> dict[str, Any]:
        return {f"{part}.{name}": value for part, s in self.parts.items() for name, value in s.state_dict().items()}

    def load(self, state: dict[str, Any]) -> None:
        """Raises StorageError unless `state` has exactly the entries of this run."""
        expected = set(self.state())
        if missing := sorted(expected - set(state)):
            raise StorageError(f"the checkpoint lacks {', '.join(missing)}: it was made by another version or recipe.")
        if unknown := sorted(set(state) - expected):
            raise StorageError(f"the checkpoint has unknown entries: {', '.join(unknown)}.")
        for part, owner in self.parts.items():
            owner.load_state_dict(entries(state, part))


def entries(state: dict[str, Any], part: str) -> dict[str, Any]:
    """Those of one part, by their names within it."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def save(folder: Path, step: int, state: dict[str, Any], **facts: Any) -> Path:
    """Writes checkpoint `step` below `folder`; `facts` go into the manifest. Returns its path.

    Raises:
        Diverged: when the state holds a number that is not finite: such a checkpoint is never written.
        StorageError: when it cannot be written; the checkpoints before it stay as they are.
    """
    if bad := [name for name, value in state.items() if not finite(value)]:
        raise Diverged(f"not saved: {', '.join(bad)} is no longer finite at step {step}.")
    buffer = io.BytesIO()
    torch.save(state, buffer)  # into memory: torch.save(path) hides the system's error on a full disk
    blob = buffer.getvalue()
    manifest = {
        "schema": SCHEMA, "step": step, "finite": True, **facts,
        "files": {"state.pt": {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}},
    }  # fmt: skip
    final, temporary = folder / name_of(step), folder / f".writing-{name_of(step)}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_synced(temporary / "state.pt", blob)
        write_synced(temporary / "manifest.json", sealed(manifest))
        sync_folder(temporary)
        replaced = final.with_name(f".replaced-{final.name}")
        if final.exists():  # the same step, saved before
            final.rename(replaced)
        temporary.rename(final)
        sync_folder(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(cannot_write(folder, len(blob), error)) from error
    return final


def load(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(state, manifest) of a checkpoint, once its sums are right. Runs no code of the file.

    Raises:
        StorageError: when a file is missing or differs from what was written.
    """
    blob, manifest = verify(checkpoint)
    return torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True), manifest


def verify(checkpoint: Path) -> tuple[bytes, dict[str, Any]]:
    """The state's bytes and the manifest, if both are as they were written.

    Raises:
        Damaged: when they are not, or a file is missing.
        StorageError: when they cannot be read, or are of another schema.
    """
    try:
        about = manifest(checkpoint)
        blob, expected = (checkpoint / "state.pt").read_bytes(), about["files"]["state.pt"]
    except FileNotFoundError as error:
        raise Damaged(f"{checkpoint} is incomplete: {error.strerror}.") from error
    except OSError as error:
        raise StorageError(f"{checkpoint} cannot be read: {error.strerror}.") from error
    if len(blob) != expected["bytes"] or hashlib.sha256(blob).hexdigest() != expected["sha256"]:
        raise Damaged(f"{checkpoint / 'state.pt'} is damaged: its SHA-256 is not the one that was written.")
    if about["schema"] != SCHEMA:
        raise StorageError(f"{checkpoint} has schema {about['schema']}; this version reads schema {SCHEMA}.")
    return blob, about


def manifest(checkpoint: Path) -> dict[str, Any]:
    """What it says of itself. Raises Damaged when that is not as it was written, or missing."""
    try:
        return unsealed((checkpoint / "manifest.json").read_bytes())
    except FileNotFoundError as error:
        raise Damaged(f"{checkpoint} is incomplete: {error.strerror}.") from error


def newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"step-{'[0-9]' * 9}"), reverse=True)


def latest(folder: Path) -> tuple[Path, list[str]]:
    """The newest undamaged checkpoint, and what was wrong with those that are newer.

    Raises:
        StorageError: when there is none.
    """
    complaints: list[str] = []
    for checkpoint in newest_first(folder):
        try:
            verify(checkpoint)
        except Damaged as error:
            complaints.append(str(error))
        else:
            return checkpoint, complaints
    raise StorageError(
        "\n".join(complaints[:2]) or f"{folder} holds no checkpoint: the run was stopped before its first."
    )


def damaged(place: Path, every: bool = False) -> Iterator[str]:
    """Sets damaged ones aside, with a word for each, from the newest on: until one is good, or all of them."""
    for path in newest_first(place):
        try:
            verify(path)
        except Damaged as error:
            yield f"{error}\nIt was set aside as {set_aside(path).name}."
        else:
            if not every:
                return


def set_aside(checkpoint: Path) -> Path:
    """Renames a damaged checkpoint, so that it is kept but never taken for a good one."""
    kept = checkpoint.with_name(f"damaged-{checkpoint.name}")
    shutil.rmtree(kept, ignore_errors=True)
    return checkpoint.rename(kept)


def prune(folder: Path, keep: int, asked: Collection[int] = ()) -> None:
    """Deletes all but the newest `keep` checkpoints, one for each doubling of the step count, and those of the steps
    that somebody `asked` for."""
    ordered = newest_first(folder)
    milestones = {step_of(checkpoint).bit_length(): checkpoint for checkpoint in ordered}  # the earliest of each
    for checkpoint in set(ordered[keep:]) - set(milestones.values()):
        if step_of(checkpoint) not in asked:
            shutil.rmtree(checkpoint)


def keep_only(folder: Path, steps: Collection[int]) -> None:
    """Deletes the checkpoints of all other steps."""
    for checkpoint in newest_first(folder):
        if step_of(checkpoint) not in steps:
            shutil.rmtree(checkpoint)


def sweep(folder: Path) -> None:
    """Removes what a killed process left half written, and puts back what it was about to replace."""
    for leftover in folder.glob(".writing-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for replaced in folder.glob(".replaced-*"):
        final = replaced.with_name(replaced.name.removeprefix(".replaced-"))
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(final)


def name_of(step: int) -> str:
    return f"step-{step:09d}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def finite(value: Any) -> bool:
    """Whether every floating number in nested containers of tensors is finite."""
    return all(bool(torch.isfinite(t).all()) for t in tensors(value) if t.is_floating_point())


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from tensors(inner)


def sealed(manifest: dict[str, Any]) -> bytes:
    """JSON that carries its own sum, so that a flipped bit in the manifest shows too."""
    body = json.dumps(manifest, sort_keys=True)
    return json.dumps({"manifest": manifest, "sha256": hashlib.sha256(body.encode()).hexdigest()}, indent=1).encode()


def unsealed(blob: bytes) -> dict[str, Any]:
    try:
        sealed = json.loads(blob)
        manifest: dict[str, Any] = sealed["manifest"]
        body = json.dumps(manifest, sort_keys=True)
        if hashlib.sha256(body.encode()).hexdigest() == sealed["sha256"]:
            return manifest
    except (ValueError, KeyError, TypeError):
        pass
    raise Damaged("manifest.json of a checkpoint is damaged.")


def write_synced(path: Path, blob: bytes) -> None:
    with path.open("wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(folder: Path, needed: int, error: OSError) -> str:
    where = f"cannot write a checkpoint of {needed / 1e6:.1f} MB to {folder}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where += f" ({shutil.disk_usage(folder).free / 1e6:.1f} MB free)"
    return f"{where}.\nThe last checkpoint is intact: make room, then resume."
