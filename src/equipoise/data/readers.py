"""Processes that read and decode pictures. No torch.

They are plain programs at the end of a socket, not `multiprocessing` workers: those import the caller's main module
again, which starts a script without a main guard a second time. Only numbers, pixels and JSON go through the socket.
A reader whose parent has died reads the end of the file, and leaves.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equipoise.data.decode import Cut, Pixels, Unreadable, measured
from equipoise.data.places import Place, place_at
from equipoise.errors import MachineError

DIGEST = 32  # bytes of a SHA-256
LEAVE_S = 5.0  # a reader has this long to leave, once its socket is closed


@dataclass(frozen=True)
class Answer:
    """n pictures. Where one is bad, its pixels are zeros."""

    bad: Mapping[int, str]  # place among the n -> reason
    channels: int  # 1 when all are grey, 3 otherwise
    digests: Pixels  # [n, 32]: SHA-256 of each picture's name, size and bytes
    sizes: NDArray[np.int64]  # [n, 2]: width and height of what was cut out, upright
    pixels: Pixels  # [n, size, size, channels], or [0] when they were not asked for


class Readers(Protocol):
    def submit(self, indices: NDArray[np.int64], pixels: bool) -> Future[Answer]:
        """Begins to read the pictures at these places of the list of names."""
        ...

    def close(self) -> None: ...


def answered(place: Place, names: Sequence[str], size: int, pixels: bool, cut: Cut = "whole") -> Answer:
    bad: dict[int, str] = {}
    digests, sizes = np.zeros((len(names), DIGEST), np.uint8), np.zeros((len(names), 2), np.int64)
    squares = np.zeros((len(names) if pixels else 0, size, size, 3), np.uint8)
    channels = 1
    for i, name in enumerate(names):
        try:
            content = place.read(name)
            digests[i] = digest(name if cut == "whole" else f"{name}\0{cut}", content)
            square, sizes[i] = measured(content, size, cut)
        except Unreadable as error:
            bad[i] = str(error)
            continue
        channels = max(channels, square.shape[2])
        if pixels:
            squares[i] = square  # a grey one three times
    return Answer(bad, channels, digests, sizes, squares[..., :channels])


def digest(name: str, content: bytes) -> Pixels:
    head = f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape")
    return np.frombuffer(hashlib.sha256(head + content).digest(), np.uint8)


class Here:
    """The reader of small sets: this process, at once."""

    def __init__(self, place: Place, names: Sequence[str], size: int, cut: Cut = "whole"):
        self.place, self.names, self.size, self.cut = place, names, size, cut

    def submit(self, indices: NDArray[np.int64], pixels: bool) -> Future[Answer]:
        future: Future[Answer] = Future()
        future.set_result(answered(self.place, [self.names[i] for i in indices], self.size, pixels, self.cut))
        return future

    def close(self) -> None: ...


class Crew:
    """`count` reading processes, each with a thread that asks it and waits."""

    def __init__(self, path: Path, names: Sequence[str], size: int, count: int, cut: Cut = "whole"):
        order = json.dumps({"path": str(path.resolve()), "names": list(names), "size": size, "cut": cut}).encode()
        self._free: SimpleQueue[Reader] = SimpleQueue()
        readers = [Reader(order, size) for _ in range(count)]
        for reader in readers:
            self._free.put(reader)
        self._threads = ThreadPoolExecutor(count, "reader")
        self.close = weakref.finalize(self, dismiss, self._threads, readers)  # also when the interpreter ends

    def submit(self, indices: NDArray[np.int64], pixels: bool) -> Future[Answer]:
        return self._threads.submit(asked, self._free, indices, pixels)


def asked(free: SimpleQueue[Reader], indices: NDArray[np.int64], pixels: bool) -> Answer:
    reader = free.get()
    try:
        return reader.ask(indices, pixels)
    finally:
        free.put(reader)


def dismiss(threads: ThreadPoolExecutor, readers: Sequence[Reader]) -> None:
    threads.shutdown(wait=True, cancel_futures=True)
    for reader in readers:
        reader.close()


class Reader:
    """The end of the socket that asks."""

    def __init__(self, order: bytes, size: int):
        self.size = size
        self._socket, theirs = Pipe()
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # it counts nothing
        modules = {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}  # those found here
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | quiet | modules,
            process_group=0,  # Ctrl-C is for the run, which saves its state before it leaves
        )  # fmt: skip
        theirs.close()
        self._order: bytes | None = order  # sent with the first request, from its thread

    def ask(self, indices: NDArray[np.int64], pixels: bool) -> Answer:
        try:
            if self._order is not None:
                self._socket.send_bytes(self._order)
                self._order = None
            self._socket.send_bytes(bytes([pixels]) + indices.tobytes())
            head = json.loads(self._socket.recv_bytes())
            digests = np.frombuffer(self._socket.recv_bytes(), np.uint8).reshape(-1, DIGEST)
            sizes = np.frombuffer(self._socket.recv_bytes(), np.int64).reshape(-1, 2)
            squares = np.frombuffer(self._socket.recv_bytes(), np.uint8)
        except (OSError, EOFError) as error:
            raise MachineError(
                f"a process that reads pictures was ended from outside ({self.ending()}): was the memory too small?\n"
                "Nothing that was saved is lost. Lower data.workers, or convert the data once: equipoise data convert."
            ) from error
        bad = {int(place): reason for place, reason in head["bad"].items()}
        pixels_ = squares.reshape(-1, self.size, self.size, head["channels"])
        return Answer(bad, head["channels"], digests, sizes, pixels_)

    def ending(self) -> str:
        try:
            code = self.process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            return "no answer"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        self._socket.close()
        try:
            self.process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serve(socket: Connection) -> None:
    """Answers until the other end closes."""
    try:
        order = json.loads(socket.recv_bytes())
        place, names, size, cut = place_at(Path(order["path"])), order["names"], order["size"], order["cut"]
        while True:
            request = socket.recv_bytes()
            wanted = [names[i] for i in np.frombuffer(request[1:], np.int64)]
            answer = answered(place, wanted, size, bool(request[0]), cut)
            socket.send_bytes(json.dumps({"bad": answer.bad, "channels": answer.channels}).encode())
            socket.send_bytes(answer.digests.tobytes())
            socket.send_bytes(answer.sizes.tobytes())
            socket.send_bytes(answer.pixels.tobytes())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
