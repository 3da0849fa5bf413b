"""The page in Chromium, beside a run that plays: it updates, it acts, and hostile names stay text. `make e2e`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from equipoise.config import override
from equipoise.recipes import recipe
from equipoise.runs.folder import RunFolder, rows

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: `make e2e` installs it")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `make e2e` installs it"),
    pytest.mark.timeout(900),
]
PATIENCE_MS = 240_000  # on a busy machine; a quiet one needs seconds
PICTURES = os.environ.get("E2E_PICTURES")  # a folder for screenshots

RING = [
    "batch=16", "nets.g_widths=[16,16]", "nets.d_widths=[16,16]", "machine.threads=1", "machine.precision=fp32",
    "machine.device=cpu", "kimg=100000", "record.every_kimg=0.8", "guardian.every_kimg=8", "guardian.n=60",
    "evaluate.every_kimg=16", "evaluate.n=60", "evaluate.patience_kimg=90000", "samples.every_kimg=8",
    "save.every_kimg=40",
]  # fmt: skip
SCRIPTS = [
    "<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "\"><svg onload=window.hit=1>",
    "' onmouseover='window.hit=1", "javascript:window.hit=1", "{{constructor.constructor('window.hit=1')()}}",
    "${window.hit=1}", "<iframe srcdoc='<script>parent.hit=1<|script>'>", "`-window.hit=1-`",
    "\\u003cscript>window.hit=1",
]  # fmt: skip


def child(*arguments: str, **how: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "equipoise.cli.main", *arguments]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, **how)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 runs with hostile names and recipes, and events that are no better."""
    home: Path = tmp_path_factory.mktemp("runs")
    config = json.loads(recipe("ring").model_dump_json())
    for i in range(80):
        bad = SCRIPTS[i % len(SCRIPTS)]
        run = RunFolder(home / f"{bad} {i}".replace("/", "|"))
        run.samples.mkdir(parents=True)
        run.config.write_text(json.dumps({**config, "recipe": bad}))
        at = {"step": 1, "seen": 64}
        told = {"symptom": bad, "severity": "warning", "evidence": {bad: 1.0}, "meaning": bad, "advice": bad}
        events = [
            {"kind": "signals", **at, "d_loss": 1.0, bad: 2.0}, {"kind": "change", **at, "reason": bad, "knobs": {}},
            {"kind": "finding", **at, **told},
        ]  # fmt: skip
        run.events.write_text("".join(json.dumps(row) + "\n" for row in events))
    return home


@pytest.fixture(scope="module")
def live(home: Path) -> Iterator[RunFolder]:
    """A run that plays until the tests are over."""
    file = home / "ring.json"
    file.write_text(override(recipe("ring"), RING).model_dump_json())
    log = (home / "log").open("w")
    process = child("train", "--config", str(file), "--out", str(home / "live"), stdout=log, stderr=log)
    run = RunFolder(home / "live")
    began = time.monotonic()
    while not (run.events.exists() and len(rows(run.events)) > 10):
        assert process.poll() is None, (home / "log").read_text()
        assert time.monotonic() - began < PATIENCE_MS / 1000
        time.sleep(0.2)
    yield run
    process.send_signal(signal.SIGKILL)
    process.wait()
    log.close()


@pytest.fixture(scope="module")
def address(live: RunFolder, home: Path) -> Iterator[str]:
    """As it was printed, with its token."""
    process = child("dashboard", str(home), "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(20)
    process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A tab that fails the test at any error, and at any request to elsewhere."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    here = urlsplit(address).netloc
    page.on("request", lambda request: wrong.append(request.url) if urlsplit(request.url).netloc != here else None)
    yield page
    context.close()
    assert wrong == []


def until(page: Any, holds: str) -> None:
    """Waits; not by Playwright's own way, which the page's policy forbids as it should: it evaluates text."""
    began = time.monotonic()
    while not is_so(page, holds):
        assert time.monotonic() - began < PATIENCE_MS / 1000, holds
        page.wait_for_timeout(100)


def is_so(page: Any, holds: str) -> bool:
    """False, too, while the browser goes from one page to another, or what is asked about is not there yet."""
    try:
        return bool(page.evaluate(holds))
    except playwright.Error:
        return False


def opened(page: Any, address: str) -> None:
    """The page of the live run, by way of the list."""
    page.goto(address)
    page.get_by_role("link", name="live", exact=True).click()
    until(page, "document.body.dataset.step > 0")


def test_the_page_updates_acts_and_hears_back(page: Any, address: str, live: RunFolder) -> None:
    opened(page, address)
    until(page, f"document.body.dataset.step > {int(page.evaluate('document.body.dataset.step'))}")
    assert page.locator("#verdict .word").inner_text() not in ("", "Reading")
    assert page.locator("#panel-balance canvas").count() >= 1

    until(page, "document.getElementById('scrub').max > 0")
    page.locator("#scrub").fill("0")  # back to the first samples
    until(page, "document.querySelector('[data-net=ema] img').src.includes('/samples/0/ema')")
    until(page, "[...document.querySelectorAll('#samples img')].every((image) => image.naturalWidth > 0)")
    assert page.locator("#samples img").count() == 3
    page.keyboard.press("ArrowRight")
    until(page, "!document.querySelector('[data-net=ema] img').src.includes('/samples/0/ema')")

    page.get_by_role("button", name="Pause").click()
    until(page, "document.body.dataset.state === 'paused'")
    step = page.evaluate("document.body.dataset.step")
    page.locator("#knob").select_option("d_lr")
    page.locator("#value").fill("0.000123")
    page.get_by_role("button", name="Set", exact=True).click()
    until(page, "document.querySelector('#timeline ol').innerText.includes('0.000123')")
    page.locator("#knob").select_option("r1")
    page.locator("#value").fill("-1")
    page.get_by_role("button", name="Set", exact=True).click()
    until(page, "document.querySelector('#timeline ol').innerText.includes('refused')")
    assert page.evaluate("document.body.dataset.step") == step, "it waits"
    page.get_by_role("button", name="Go on").click()
    until(page, f"document.body.dataset.state === 'running' && document.body.dataset.step > {step}")

    asked = [row for row in rows(live.events) if row["kind"] == "request"]
    assert [row["do"] for row in asked] == ["pause", "set", "set", "resume"]
    assert "refused" in asked[2]
    assert [row["knobs"] for row in rows(live.events) if row["kind"] == "change"] == [{"d_lr": 0.000123}]
    transferred = page.evaluate("performance.getEntries().reduce((sum, each) => sum + (each.transferSize || 0), 0)")
    assert transferred < 300_000


def test_another_host_and_a_write_without_token_are_refused(address: str, live: RunFolder) -> None:
    here = urlsplit(address)
    assert here.hostname and here.port

    def status(method: str, path: str, **headers: str) -> int:
        connection = HTTPConnection(here.hostname or "", here.port, timeout=60)
        body = b'{"do": "pause"}' if method == "POST" else None
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        found = connection.getresponse().status
        connection.close()
        return found

    assert status("GET", "/") == 200
    assert status("GET", "/", host="evil.example") == 403
    before = live.requests.read_bytes() if live.requests.exists() else b""
    assert status("POST", "/runs/x/ask") == 403
    assert status("POST", "/runs/x/ask", **{"x-equipoise-token": here.fragment, "host": "evil.example"}) == 403
    assert (live.requests.read_bytes() if live.requests.exists() else b"") == before


def test_hostile_names_execute_nothing(page: Any, address: str) -> None:
    page.goto(address)
    until(page, "document.querySelectorAll('#runs tbody tr').length === 81")
    for script in SCRIPTS[:4]:
        page.locator("#search").fill(script.replace("/", "|"))
        page.locator("#runs tbody a").first.click()
        until(page, "document.body.dataset.step > 0")
        page.locator("#timeline li").first.wait_for()
        assert script.replace("/", "|") in page.locator("h1").inner_text()
        assert page.evaluate("window.hit") is None
        assert page.locator("img[src=x], iframe, main svg, script:not([src])").count() == 0
        page.go_back()
        until(page, "document.querySelectorAll('#runs tbody tr').length > 0")
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("wide", [1400, 400])
def test_it_is_readable_at_any_width(wide: int, theme: str, browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": wide, "height": 1800}, color_scheme=theme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    opened(page, address)
    page.locator("#panel-balance").scroll_into_view_if_needed()  # charts are drawn when they are seen
    page.locator("#panel-balance canvas").first.wait_for()
    page.evaluate("scrollTo(0, 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= wide, "nothing lies beside the page"
    acts = page.locator("#acts button:visible, #acts select:visible")
    small = [name for name, box in zip(acts.all_inner_texts(), [a.bounding_box() for a in acts.all()], strict=True)
             if box["height"] < 32]  # fmt: skip
    assert small == [], "a finger hits each of them"
    background, ink = (
        [int(part) for part in re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{name}"))[:3]]
        for name in ("backgroundColor", "color")
    )
    assert abs(sum(background) - sum(ink)) > 450
    assert (sum(background) < sum(ink)) == (theme == "dark")
    if PICTURES:
        page.wait_for_timeout(3000)
        page.screenshot(path=Path(PICTURES) / f"page-{wide}-{theme}.png")
    context.close()
