"""The server: who gets what, and what it writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import HTTPException
from test_digest import signals

from equipoise.dashboard import server
from equipoise.dashboard.catalogue import key_of
from equipoise.dashboard.guards import MOST
from equipoise.dashboard.server import Told, addresses, app, as_json, bound, played, reserved, serve
from equipoise.errors import ConfigError, MachineError
from equipoise.runs.checkpoint import newest_first, step_of
from equipoise.runs.folder import RunFolder

TOKEN = "a token"
HOSTILE = [
    "<script>x()</script>",
    '"><img src=x onerror=x()>',
    "' onmouseover='x()",
    "{{7*7}}",
    "${x}",
    "..%2f..",
    "%00",
    "🙂",
]


@contextmanager
def served(home: Path) -> Iterator[int]:
    listening = bound("127.0.0.1", 0)
    port = listening.getsockname()[1]
    config = uvicorn.Config(app(home, [f"127.0.0.1:{port}"], TOKEN), log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)


def asked(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    raw = json.dumps(body).encode() if body is not None else None
    sent = {"content-type": "application/json", **headers}
    connection.request(method, path, raw, sent)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_what_the_guards_let_pass(recorded):
    run = recorded("run", events=signals(20))
    key = key_of(run.path)
    with served(run.path.parent) as port, run.locked():
        status, headers, _ = asked(port, "GET", f"/runs/{key}")
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        for host in ("evil.example", "evil.example:80", f"localhost.evil:{port}", "127.0.0.1", ""):
            assert asked(port, "GET", "/api/runs", host=host)[0] == 403
        wish = {"do": "set", "knobs": {"r1": 0.3}}
        assert asked(port, "POST", f"/runs/{key}/ask", wish)[0] == 403
        assert asked(port, "POST", f"/runs/{key}/ask", wish, **{"x-equipoise-token": "another"})[0] == 403
        assert not run.requests.exists()
        mine = {"x-equipoise-token": TOKEN}
        assert asked(port, "POST", f"/runs/{key}/ask", {"do": "x" * MOST}, **mine)[0] == 413
        assert asked(port, "POST", f"/runs/{key}/ask", {"do": "rm"}, **mine)[0] == 422
        status, _, body = asked(port, "POST", f"/runs/{key}/ask", wish, **mine)
        assert status == 200
        (line,) = run.requests.read_text().splitlines()
        assert json.loads(line) == {"do": "set", "who": "the page", "knobs": {"r1": 0.3}, "id": json.loads(body)["id"]}
    assert {path.name for path in run.path.iterdir()} == {
        "config.json", "events.jsonl", "clock.jsonl", "evaluations.jsonl", "samples", "lock", "requests.jsonl",
    }  # fmt: skip


def test_files_are_those_of_runs_only(recorded, tmp_path):
    run = recorded("run")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run.samples / "step-000000010.txt").write_text("<b>a sentence</b>\n")
    with served(tmp_path) as port:
        mine = f"/runs/{key_of(run.path)}/samples"
        for path in (
            "/runs/../secret.png", "/runs/x/samples/1/ema", "/static/../server.py", "/runs/%2e%2e/live", "/docs",
            f"{mine}/..%2f..%2fsecret/ema", f"{mine}/11/ema", "/openapi.json",
        ):  # fmt: skip
            status, _, body = asked(port, "GET", path)
            assert status in (404, 405, 422), path
            assert b"secret" not in body.replace(b"..%2fsecret", b"").replace(b"../secret", b"")
        status, headers, body = asked(port, "GET", f"/runs/{key_of(run.path)}/samples/10/ema")
        assert (status, body) == (200, b"<b>a sentence</b>\n")
        assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name, recorded):
    run = recorded(name.replace("/", "|"), events=signals(3))
    with served(run.path.parent) as port:
        status, _, page = asked(port, "GET", f"/runs/{key_of(run.path)}")
        assert status == 200
        assert b"<img src=x" not in page
        assert b"<script>x" not in page
        assert b"'x()'" not in page


def test_a_stream_tells_all_then_what_is_new(recorded):
    run = recorded("run", events=signals(20))
    with served(run.path.parent) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/runs/{key_of(run.path)}/live")
        answer = connection.getresponse()
        first = dict(event(answer) for _ in range(2))
        assert first["state"]["step"] == 20
        assert len(first["curves"]["steps"]["x"]) == 20
        with run.events.open("a") as file:
            file.write(json.dumps(signals(1, 21)[0]) + "\n")
        news = dict(event(answer) for _ in range(2))
        assert news["state"]["step"] == 21
        assert (news["curves"]["steps"]["since"], news["curves"]["steps"]["x"]) == (19, [2.0, 2.1])
        connection.close()


def event(answer: Any) -> tuple[str, Any]:
    name = ""
    while line := answer.readline().decode().rstrip("\n"):
        kind, _, value = line.partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            answer.readline()
            return name, json.loads(value)
    raise AssertionError("the stream has ended")


def test_runs_compare_or_the_page_says_why_not(recorded):
    events = [{**row, "d_accuracy": row["d_loss"]} for row in signals(3)]
    one, two = (recorded(name, f"seed={i}", events=events[: 3 - i]) for i, name in enumerate(("one", "two")))
    with served(one.path.parent) as port:
        query = "&".join(f"run={key_of(run.path)}" for run in (one, two))
        status, _, body = asked(port, "GET", f"/api/compare?{query}")
        assert status == 200
        found = json.loads(body)
        assert "no final figures" in found["error"]
        charts = {chart["title"]: chart["lines"] for chart in found["charts"]}
        assert charts.keys() == {"How often D is right", "Losses"}, "what only one of them has is not compared"
        first, second = charts["How often D is right"]
        assert (first["name"], first["x"], first["y"]) == ("one", [0.1, 0.2, 0.3], [0.3333, 0.6667, 1.0])
        assert (second["name"], second["x"], second["y"]) == ("two", [0.1, 0.2], [0.3333, 0.6667])


def test_a_run_that_cannot_be_read_is_told_in_a_comparison(recorded):
    one, two = (recorded(name, events=signals(3)) for name in ("one", "two"))
    two.config.write_text(json.dumps(json.loads(two.config.read_text()) | {"batch": "many"}))
    with served(one.path.parent) as port:
        query = "&".join(f"run={key_of(run.path)}" for run in (one, two))
        status, _, body = asked(port, "GET", f"/api/compare?{query}")
        assert (status, json.loads(body)["charts"]) == (200, [])
        assert "batch" in json.loads(body)["error"]


def test_a_run_that_does_not_play_is_not_asked(recorded):
    run: RunFolder = recorded("run", events=signals(3))
    with served(run.path.parent) as port:
        mine = {"x-equipoise-token": TOKEN}
        assert asked(port, "POST", f"/runs/{key_of(run.path)}/ask", {"do": "pause"}, **mine)[0] == 409
        assert asked(port, "POST", f"/runs/{key_of(run.path)}/ask", {"do": "fork", "checkpoint": 5}, **mine)[0] == 422
        assert not run.requests.exists()


def test_a_figure_that_is_infinite_does_not_stop_the_page(recorded):
    """The PSNR of pairs that are equal."""
    figure = {"value": float("inf"), "low": None, "high": None, "n_fake": 9, "n_real": 9}
    row = {"kind": "metrics", "step": 1, "seen": 8, "net": "average", "part": "validation", "figures": {"psnr": figure}}
    run = recorded("run", events=[*signals(3), row])
    with served(run.path.parent) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", f"/runs/{key_of(run.path)}/live")
        told = event(connection.getresponse())[1]
        connection.close()
    assert [chart["lines"][0]["y"] for chart in told["figures"]] == [[None]]


def test_no_answer_holds_what_browsers_do_not_read():
    content = {"a": [1.5, float("inf"), (float("nan"),)], "b": {"c": -float("inf")}, "d": "NaN", "e": None}
    assert json.loads(as_json(content), parse_constant=pytest.fail) == {
        "a": [1.5, None, [None]], "b": {"c": None}, "d": "NaN", "e": None,
    }  # fmt: skip
    assert Told(content).body == as_json(content).encode()


@pytest.mark.parametrize(
    ("host", "listens", "hosts"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1:80", "localhost:80"]), ("::1", "::1", ["[::1]:80", "localhost:80"]),
        ("0:0:0:0:0:0:0:1", "::1", ["[::1]:80", "localhost:80"]), ("localhost", "127.0.0.1", ["localhost:80"]),
        ("fd00::2", "fd00::2", ["[fd00::2]:80"]), ("lab", "10.0.0.7", ["lab:80"]), ("lab", "127.0.1.1", ["lab:80"]),
    ],
)  # fmt: skip
def test_the_page_answers_to_what_a_browser_calls_it(host, listens, hosts):
    assert addresses(host, listens, 80) == hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::"])
def test_all_addresses_at_once_are_refused_with_what_to_do_instead(host, tmp_path):
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 here")
    with pytest.raises(ConfigError, match=r"--host NAME[^$]*ssh -L \d+:localhost:\d+"):
        serve(tmp_path, 0, host, announce=pytest.fail)


def has_ipv6() -> bool:
    try:
        bound("::1", 0).close()
    except MachineError:
        return False
    return True


def test_two_quick_forks_have_two_names(recorded):
    run = recorded("run")
    found = []
    threads = [threading.Thread(target=lambda: found.append(reserved(run, 5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.name for path in found}) == 8


def process_that(does: str) -> list[str]:
    return [sys.executable, "-c", f"import pathlib, sys, time; {does}"]


def test_a_fork_that_ends_with_an_error_is_told_and_its_name_is_free_again(recorded):
    run = recorded("run")
    new = RunFolder(reserved(run, 5))
    with pytest.raises(HTTPException, match=r"(?s)exit code 5\).*the disk is full.*make room") as told:
        played(process_that("print('first\\nthe disk is full\\n\\nmake room', file=sys.stderr); sys.exit(5)"), new)
    assert told.value.status_code == 409
    assert not new.path.exists()


def test_a_fork_that_plays_is_not_waited_for(recorded):
    run = recorded("run")
    row = json.dumps({"kind": "resumed"})
    began = time.monotonic()
    played(
        process_that(f"pathlib.Path({str(run.clock)!r}).write_text({row + chr(10)!r}); time.sleep(5); sys.exit(1)"), run
    )
    assert time.monotonic() - began < 4
    assert run.path.exists()


def test_a_fork_from_the_page_begins_or_says_why_not(small_run, tmp_path):
    """Once with a checkpoint that is whole, once with one that is damaged: as far as the page is told."""
    run = RunFolder(shutil.copytree(small_run.path, tmp_path / "run"))
    first, last = (newest_first(run.checkpoints)[i] for i in (-1, 0))
    (last / "state.pt").write_bytes(b"damaged")
    with served(tmp_path) as port:
        mine = {"x-equipoise-token": TOKEN}

        def forked(step: int) -> tuple[int, Any]:
            status, _, body = asked(
                port, "POST", f"/runs/{key_of(run.path)}/ask", {"do": "fork", "checkpoint": step}, **mine
            )
            return status, json.loads(body)

        status, told = forked(step_of(last))
        assert (status, "state.pt is damaged" in told["detail"]) == (409, True)
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        status, told = forked(step_of(first))
        assert (status, told) == (200, {"id": f"run_from-{step_of(first)}"})
    assert RunFolder(tmp_path / told["id"]).config.exists()


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the script of the page")
def test_a_page_that_was_refused_says_why_and_tries_again(tmp_path):
    """A browser gives up an EventSource whose answer is not 200; one that is cut it opens again by itself."""
    source = Path(server.__file__).parent / "static" / "live.js"
    (tmp_path / "live.mjs").write_text(source.read_text())
    (tmp_path / "page.mjs").write_text(PAGE)
    done = subprocess.run(["node", tmp_path / "page.mjs"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "lost: The server of this page does not answer. It tries again.", "opened: 1",
        "lost: The server says: too many pages are open. It tries again.", "opened: 2", "heard: 7", "aborted: true",
    ]  # fmt: skip


PAGE = """
import { listen } from "./live.mjs";
const opened = [];
let aborted = false;
globalThis.EventSource = class {
  static CLOSED = 2;
  constructor() { this.readyState = 1; this.heard = {}; opened.push(this); }
  addEventListener(kind, take) { this.heard[kind] = take; }
};
globalThis.fetch = async (address, { signal }) => {
  signal.addEventListener("abort", () => { aborted = true; });
  return new Response(JSON.stringify({ detail: "too many pages are open." }), { status: 503 });
};
const soon = () => new Promise((go) => setTimeout(go, 100));
listen("/live", { state: (news) => console.log(`heard: ${news.step}`) }, (why) => console.log(`lost: ${why}`), 10);
opened[0].readyState = 0;  // it tries by itself
opened[0].heard.error();
await soon();
console.log(`opened: ${opened.length}`);
opened[0].readyState = 2;  // it was refused
opened[0].heard.error();
await soon();
console.log(`opened: ${opened.length}`);
opened[1].heard.state({ data: '{"step": 7}' });
console.log(`aborted: ${aborted}`);
"""
