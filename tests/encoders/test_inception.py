"""The field's Inception, by a small TorchScript graph that is called in the same way; the fetch, from a server here."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softmax

from equipoise.encoders import inception as module
from equipoise.encoders.inception import NAME, InceptionEncoder, fetched
from equipoise.encoders.looked import looked
from equipoise.errors import DataError

CPU = torch.device("cpu")


class Small(nn.Module):
    """Means of colours in quarters of the image as features."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(12, 7)

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        features = nn.functional.adaptive_avg_pool2d(img.float() / 127.5 - 1, [2, 2]).flatten(1)
        if return_features:
            return features
        logits = features @ self.output.weight.t()
        return softmax(logits if no_output_bias else logits + self.output.bias, 1)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("graph") / NAME
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Small()), path)  # type: ignore[no-untyped-call]
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_features_and_logits_are_the_graphs(graph: tuple[Path, str]) -> None:
    encoder, images = InceptionEncoder(graph[0], CPU, graph[1]), noise(9, 3, 20, 20)
    look = looked(encoder, images, 4)
    torch.testing.assert_close(look.features, encoder.graph(images, return_features=True))
    assert look.logits is not None
    torch.testing.assert_close(look.logits.softmax(1), encoder.graph(images, no_output_bias=True))
    assert not torch.allclose(look.logits.softmax(1), encoder.graph(images), atol=1e-3)  # the bias would matter
    assert encoder.protocol["dimension"] == 12 and encoder.protocol["sha256"] == graph[1]


def test_grey_is_colour_with_equal_channels(graph: tuple[Path, str]) -> None:
    encoder, grey = InceptionEncoder(graph[0], CPU, graph[1]), noise(2, 1, 20, 20)
    assert torch.equal(encoder.look(grey).features, encoder.look(grey.expand(-1, 3, -1, -1)).features)
    with pytest.raises(DataError, match="uint8"):
        encoder.look(grey.float())


def test_another_program_is_never_run(graph: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.jit, "load", None)  # would raise if it were called
    with pytest.raises(DataError, match="A TorchScript file is a program"):
        InceptionEncoder(graph[0], CPU)
    with pytest.raises(DataError, match="cannot be read"):
        InceptionEncoder(graph[0].with_name("missing.pt"), CPU)


@contextmanager
def served(content: bytes, announced: int | None = None, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """(address, requests so far) of a server that gives `content`, of which it says that it is `announced` bytes."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{NAME}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_fetched_once(graph: tuple[Path, str], tmp_path: Path) -> None:
    with served(graph[0].read_bytes()) as (url, asked):
        path = fetched(tmp_path / "weights", url, graph[1])
        assert fetched(tmp_path / "weights", url, graph[1]) == path
    assert asked == [f"/{NAME}"]
    assert list(path.parent.iterdir()) == [path]
    assert InceptionEncoder(path, CPU, graph[1]).look(noise(1, 3, 8, 8)).features.shape == (1, 12)


def test_a_damaged_copy_is_fetched_again(graph: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"half")
    with served(graph[0].read_bytes()) as (url, _):
        assert fetched(tmp_path, url, graph[1]).read_bytes() == graph[0].read_bytes()


def test_another_file_is_not_kept(graph: tuple[Path, str], tmp_path: Path) -> None:
    with served(b"not the graph") as (url, _), pytest.raises(DataError, match="gave another file"):
        fetched(tmp_path, url, graph[1])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(graph: tuple[Path, str], tmp_path: Path) -> None:
    raw = graph[0].read_bytes()
    with served(raw[:1000], announced=len(raw)) as (url, _), pytest.raises(DataError, match="inception=FILE"):
        fetched(tmp_path, url, graph[1])
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_end_is_cut_off(
    graph: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    monkeypatch.setattr(module, "MOST_BYTES", 3000)
    pieces = []
    with served(bytes(50_000)) as (url, _), pytest.raises(DataError, match="another file"):
        fetched(tmp_path, url, graph[1], lambda items, label, count: (pieces.append(p) or p for p in items))
    assert len(pieces) == 3


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with served(b"", status=404) as (url, _), pytest.raises(DataError, match="404") as caught:
        fetched(tmp_path, url)
    assert "give its path" in str(caught.value)
    with pytest.raises(DataError, match="Download it on a machine with a network"):
        fetched(tmp_path, url)  # nobody listens any more
    assert list(tmp_path.iterdir()) == []
