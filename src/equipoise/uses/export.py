"""A trained generator for programs that know nothing of Equipoise: a file of weights and a short sampler beside it.

safetensors hold no code, so the net must stand in the sampler. It is written down by torch.export as the operations of
torch that G consists of, in order: that works for every net and needs no class of ours, can be read, and needs no file
that runs code when it is opened, as a .pt2 or TorchScript archive would be. ONNX holds the net itself.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, assert_never, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from equipoise.errors import ConfigError, MachineError, StorageError
from equipoise.generator import CONSTANT, TrainedGenerator
from equipoise.uses import samplers

Kind = Literal["safetensors", "onnx"]

NEEDED = ("onnx", "onnxscript")
BEHIND = re.compile(r";  .*")  # names that torch frees early
OPSET = 18


class Labelled(nn.Module):
    """What is exported of a generator with classes."""

    def __init__(self, G: nn.Module):
        super().__init__()
        self.G = G

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x: Tensor = self.G(z, y)
        return x


class Unlabelled(nn.Module):
    """Of one without, which takes no y."""

    def __init__(self, G: nn.Module):
        super().__init__()
        self.G = G

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.G(z, torch.zeros_like(z[:, 0], dtype=torch.long))
        return x


def exported(trained: TrainedGenerator, kind: Kind, out: Path) -> list[Path]:
    """Writes the generator to `out` and `sampler.py` beside it.

    Raises:
        ConfigError: for a translator, a name of another kind, or where some other sampler.py is in the way.
        MachineError: for ONNX where onnx and onnxscript are not installed.
        StorageError: when it cannot be written.
    """
    if trained.form.styles:
        raise ConfigError(
            "export writes a sampler, and this generator begins with sentences: model.safetensors of its run holds all "
            "that equipoise restyle needs."
        )
    if trained.form.given:
        raise ConfigError(
            "export writes a sampler, and this generator begins with pictures: model.safetensors of its run holds all "
            "that equipoise translate needs."
        )
    if (named := out.suffix.lower().removeprefix(".")) != kind and named in get_args(Kind):
        raise ConfigError(
            f"{out} would hold {kind} under the name of {named}: add --to {named}, or give it a name that ends with "
            f".{kind}."
        )
    beside = out.with_name("sampler.py")
    if out.name == beside.name:
        raise ConfigError("sampler.py is the name of the sampler beside the model: give the model another with -o.")
    if beside.exists() and b"a generator that Equipoise trained" not in beside.read_bytes():
        raise ConfigError(f"{beside} is no sampler of ours, and would be overwritten: choose another folder with -o.")
    if not out.parent.is_dir():
        raise StorageError(f"cannot write {out}: there is no folder {out.parent}.")
    try:
        match kind:
            case "safetensors":
                text = to_safetensors(trained, out)
            case "onnx":
                text = to_onnx(trained, out)
            case other:
                assert_never(other)
        beside.write_text(text.replace('"FILE"', json.dumps(out.name)), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
    return [out, beside]


def to_safetensors(trained: TrainedGenerator, out: Path) -> str:
    """The text of the sampler."""
    program = programmed(trained)
    trained.save(out, constants(program))
    before, place, after = template("with_torch").partition("    raise SystemExit(")
    assert place, "the pattern has a place for the net"
    return before + "\n".join(operations(program)) + "\n" + after.partition("\n")[2]


def programmed(trained: TrainedGenerator) -> ExportedProgram:
    net, given = entrance(trained)
    with torch.no_grad(), unwarned():
        program: ExportedProgram = torch.export.export(net, given, dynamic_shapes=({0: Dim("n")},) * len(given))
        program = program.run_decompositions({})  # without operations that overwrite their input
    return program


def entrance(trained: TrainedGenerator) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """What is exported, and what it may be given."""
    z, y = torch.zeros(2, trained.nets.z_dim), torch.zeros(2, dtype=torch.long)
    return (Labelled(trained.G), (z, y)) if trained.form.classes else (Unlabelled(trained.G), (z,))


def operations(program: ExportedProgram) -> list[str]:
    """Lines of Python: the net's operations on z, y and the weights w."""
    names = places(program)
    held = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    lines = [BEHIND.sub("", line).rstrip() for line in program.graph_module.code.splitlines()]
    body = [line for line in lines if line.startswith("    ")]
    body = [held.sub(lambda found: f'w["{names[found[1]]}"]', line) for line in body]
    body = [line.replace("torch.ops.aten.", "aten.") for line in body]
    return [re.sub(r"return \((\w+),\)", r"return \1", line) for line in body]


def places(program: ExportedProgram) -> dict[str, str]:
    """Arguments of the program -> names in the file."""
    signature = program.graph_signature
    kept = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    fixed = signature.inputs_to_lifted_tensor_constants
    named = {place: plain(name) for place, name in kept.items() if name not in program.constants}
    constant = {place: name for place, name in {**kept, **fixed}.items() if name in program.constants}
    return named | {place: CONSTANT + plain(name) for place, name in constant.items()}


def constants(program: ExportedProgram) -> dict[str, Tensor]:
    """What a net computes with and does not keep, such as the kernels of filters."""
    found = {CONSTANT + plain(name): value for name, value in program.constants.items()}
    return {name: value.contiguous() for name, value in found.items() if isinstance(value, Tensor)}


def plain(name: str) -> str:
    """Its name in G."""
    return name.removeprefix("G.")


def to_onnx(trained: TrainedGenerator, out: Path) -> str:
    """The text of the sampler."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise MachineError(
            f"--to onnx needs {' and '.join(missing)}, not installed here: pip install 'equipoise[export]'."
        )
    net, given = entrance(trained)
    names = ["z", "y"][: len(given)]
    with torch.no_grad(), unwarned():
        program = torch.onnx.export(
            net, given, dynamo=True, input_names=names, output_names=["x"], opset_version=OPSET, verbose=False,
            dynamic_shapes=({0: Dim("n")},) * len(given),
        )  # fmt: skip
    assert program is not None
    program.model.metadata_props["classes"] = str(trained.form.classes)
    program.model.metadata_props["class_counts"] = json.dumps(trained.form.class_counts)
    program.save(str(out), external_data=False)
    return template("with_onnx")


@contextmanager
def unwarned() -> Iterator[None]:
    """torch's exporters warn of their own insides, and of packages that nobody needs here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


def template(name: str) -> str:
    assert samplers.__file__ is not None
    return Path(samplers.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
