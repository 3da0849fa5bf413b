"""The gate of promise P9, "files cannot run code": no call in the tree may unpickle, evaluate or extract blindly.

python tests/unsafe_calls.py FOLDER...      lists what it finds; exit code 1 if there is any
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load",
    "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "pandas.read_pickle", "pd.read_pickle",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "runpy.run_path",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "extract"}
LOADERS = {"yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader"}


def unsafe(source: str) -> Iterator[tuple[int, str]]:
    """(line, why) of each unsafe call or import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from ((node.lineno, why) for why in unsafe_call(node))
        elif isinstance(node, ast.ImportFrom) and node.module in {"pickle", "dill", "marshal", "shelve"}:
            yield node.lineno, f"import from {node.module}"
        elif isinstance(node, ast.Import):
            yield from (
                (node.lineno, f"import {a.name}") for a in node.names if a.name in {"pickle", "dill", "marshal"}
            )


def unsafe_call(call: ast.Call) -> Iterator[str]:
    name = dotted(call.func)
    keywords = {k.arg: k.value for k in call.keywords}
    if name in FORBIDDEN:
        yield name
    if isinstance(call.func, ast.Attribute) and call.func.attr in FORBIDDEN_METHODS:
        yield f".{call.func.attr}()"
    if name == "torch.load" and not is_constant(keywords.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name.endswith(("np.load", "numpy.load")) and not is_constant(keywords.get("allow_pickle"), False):
        yield "np.load without allow_pickle=False"
    if "shell" in keywords and not is_constant(keywords["shell"], False):
        yield "shell=True"
    if any(dotted(value) in LOADERS for value in keywords.values()):
        yield "an unsafe YAML loader"


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def main(folders: list[str]) -> int:
    found = [
        f"{file}:{line}: {why}"
        for folder in folders
        for file in sorted(Path(folder).rglob("*.py"))
        for line, why in unsafe(file.read_text(encoding="utf-8"))
    ]
    print("\n".join(found) or f"no unsafe call in {', '.join(folders)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
