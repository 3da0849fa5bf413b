"""The server of the page: on this machine only, unless it is told otherwise."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import uvicorn
from fastapi import APIRouter, Body, FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.middleware.gzip import GZipMiddleware

from equipoise.dashboard import panels
from equipoise.dashboard.catalogue import Catalogue, shown_name
from equipoise.dashboard.digest import Digest
from equipoise.dashboard.guards import App, Guarded
from equipoise.dashboard.shown import shown
from equipoise.errors import ConfigError, EquipoiseError, MachineError, StorageError
from equipoise.requests import REQUEST, Fork, ask, reason
from equipoise.runs import folder
from equipoise.runs.folder import RunFolder

TICK_S, BEAT_S = 1.0, 15.0  # between two looks at a run; between two signs of life where nothing happens
STREAMS = 64  # pages that are told at once what is new
LONGEST_TEXT = 65_536  # bytes of samples that are sentences
PICTURES = {"ema": "step", "raw": "raw"}
PORT = 8321
PATIENCE_S, OFTEN_S = 20.0, 0.1  # of whoever waits for a fork to play; between two looks whether it does
TOLD_LINES = 3  # of what a fork said before it ended: a message of ours has no more


class Told(JSONResponse):
    """JSON that every browser reads."""

    def render(self, content: Any) -> bytes:
        return as_json(content).encode()


def as_json(content: Any) -> str:
    """JSON has no NaN and no infinity: they are null."""
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError:
        return json.dumps(finite(content), allow_nan=False)


def finite(content: Any) -> Any:
    match content:
        case float():
            return content if math.isfinite(content) else None
        case Mapping():
            return {key: finite(value) for key, value in content.items()}
        case list() | tuple():
            return [finite(value) for value in content]
        case _:
            return content


class Sent(NamedTuple):
    """What a page has."""

    epoch: int = 0
    offset: int = -1
    steps: tuple[int, int] = (0, 0)  # stride and buckets
    looks: tuple[int, int] = (0, 0)


def app(home: Path, hosts: list[str], token: str) -> App:
    """The page of the runs below `home`, or of the run `home`."""
    catalogue = Catalogue(home)
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    api.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    api.add_exception_handler(ConfigError, answered(404))
    api.add_exception_handler(EquipoiseError, answered(409))
    for routes in (pages(catalogue, home), live(catalogue), pictures(catalogue)):
        api.include_router(routes)
    api.add_middleware(GZipMiddleware, minimum_size=1000)
    return Guarded(api, hosts, token)


def answered(status: int) -> Callable[[Request, Exception], Response]:
    return lambda request, error: JSONResponse({"error": str(error)}, status)


def pages(catalogue: Catalogue, home: Path) -> APIRouter:
    """What is read: the list, a comparison, a run."""
    routes = APIRouter()
    templates = Environment(loader=PackageLoader("equipoise.dashboard"), autoescape=select_autoescape(default=True))
    templates.policies["json.dumps_kwargs"] = {"sort_keys": False}

    def page(template: str, **facts: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(template).render(**facts))

    @routes.get("/")
    def index() -> Response:
        runs = catalogue.runs()
        if len(runs) == 1 and next(iter(runs.values())).path == home:
            return RedirectResponse(f"/runs/{next(iter(runs))}")
        return page("runs.html", home=home.name or str(home))

    @routes.get("/api/runs")
    def listed() -> Response:
        return Told({"runs": catalogue.told()})

    @routes.get("/api/compare")
    def compared(run: Annotated[list[str], Query(max_length=20)]) -> Response:
        return Told(catalogue.compared(run))

    @routes.get("/runs/{key}")
    def one(key: str) -> Response:
        run, several = catalogue.find(key), len(catalogue.runs()) > 1
        return page("run.html", key=key, name=shown_name(run), panels=panels.told(), several=several)

    return routes


def live(catalogue: Catalogue) -> APIRouter:
    """What goes to and fro while a run plays."""
    routes, streams = APIRouter(), asyncio.Semaphore(STREAMS)

    @routes.get("/runs/{key}/live")
    async def stream(key: str) -> Response:
        digest = await run_in_threadpool(catalogue.digest, key)
        if streams.locked():
            raise HTTPException(503, "too many pages are open.")

        async def events() -> AsyncIterator[str]:
            async with streams:
                async for text in told(digest):
                    yield text

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @routes.post("/runs/{key}/ask")
    def asked(key: str, wish: Annotated[dict[str, Any], Body()]) -> Any:
        run = catalogue.find(key)
        return {"id": forked(run, wish) if wish.get("do") == "fork" else passed_on(run, wish)}

    return routes


def pictures(catalogue: Catalogue) -> APIRouter:
    """What a run has drawn."""
    routes = APIRouter()

    @routes.get("/runs/{key}/samples/{step}/{net}")
    def samples(key: str, step: int, net: str) -> Response:
        name = "real" if net == "real" else f"{PICTURES.get(net, 'step')}-{step:09d}"
        return drawn(catalogue.find(key).samples / f"{name}.png")

    @routes.get("/runs/{key}/missing/{step}")
    def missing(key: str, step: int) -> Response:
        return drawn(catalogue.find(key).missing_modes(step))

    @routes.get("/runs/{key}/bins")
    def bins(key: str) -> Response:
        return drawn(catalogue.find(key).bins)

    @routes.get("/runs/{key}/view")
    def view(key: str) -> Response:
        return drawn(catalogue.find(key).view)

    return routes


async def told(digest: Digest) -> AsyncIterator[str]:
    """What is new of a run, as server-sent events: all of it at first, then what has changed. A page that does not
    listen is not told: nothing is heaped up for it."""
    before, sent, silent = "", Sent(), 0.0
    while True:
        await run_in_threadpool(digest.refresh)
        state = await run_in_threadpool(lambda: as_json(shown(digest)))
        news = state != before
        if news:
            yield event("state", state)
            before = state
        curves, sent = await run_in_threadpool(new_curves, digest, sent)
        if curves:
            yield event("curves", curves)
        silent = 0.0 if news or curves else silent + TICK_S
        if silent >= BEAT_S:
            silent = 0.0
            yield ": here\n\n"
        await asyncio.sleep(0.02 if digest.behind else TICK_S)


def new_curves(digest: Digest, sent: Sent) -> tuple[str, Sent]:
    """The ends of the curves that a page does not have yet, and what it has then."""
    with digest.lock:
        steps, looks = digest.steps, digest.looks
        sent = sent if sent.epoch == digest.epoch else Sent()
        now = Sent(digest.epoch, digest.events.offset, (steps.stride, len(steps)), (looks.stride, len(looks)))
        if now == sent:
            return "", sent
        found = {
            "steps": steps.told(panels.OF_STEPS, since(sent.steps, now.steps)),
            "looks": looks.told(panels.OF_LOOKS, since(sent.looks, now.looks)),
        }
    return as_json(found), now


def since(sent: tuple[int, int], now: tuple[int, int]) -> int:
    """The first bucket that is not as it was sent: the last of them was not full, or all have been merged."""
    return sent[1] - 1 if sent[0] == now[0] and 0 < sent[1] <= now[1] else 0


def event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"


def drawn(path: Path) -> Response:
    """A file of a run; a picture's place may hold sentences."""
    if path.exists():
        return FileResponse(path, headers={"cache-control": "no-cache"})
    text = path.with_suffix(".txt")
    if text.exists():
        with text.open("rb") as file:
            return Response(file.read(LONGEST_TEXT), media_type="text/plain; charset=utf-8")
    raise HTTPException(404)


def passed_on(run: RunFolder, wish: dict[str, Any]) -> str:
    """Writes a request for a run that plays. Its id."""
    if not run.is_locked():
        raise HTTPException(409, "the run does not play now: nobody would read it.")
    try:
        request = REQUEST.validate_python({**wish, "id": secrets.token_hex(6), "who": "the page", "at_seen": None})
    except ValueError as error:
        raise HTTPException(422, reason(error)) from error
    ask(run.requests, request)
    return request.id


def forked(run: RunFolder, wish: dict[str, Any]) -> str:
    """Starts another run from a checkpoint, in a process of its own. Its folder's name, once it plays."""
    step = wish.get("checkpoint")
    if not isinstance(step, int) or not (run.checkpoints / f"step-{step:09d}").is_dir():
        raise HTTPException(422, "that checkpoint is not there (any more).")
    out = reserved(run, step)
    command = [sys.executable, "-m", "equipoise.cli.main", "fork", str(run.path), "--checkpoint", str(step)]
    played([*command, "--out", str(out), "--play"], RunFolder(out))
    if run.is_locked():
        ask(run.requests, Fork(id=secrets.token_hex(6), who="the page", checkpoint=step, out=str(out)))
    return out.name


def reserved(run: RunFolder, step: int) -> Path:
    """The folder of a fork, empty: made at once, so that no other fork gets its name."""
    while True:
        path = folder.fork_path(run.path, step)
        try:
            path.mkdir()
        except FileExistsError:
            continue  # another was quicker
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror}. A fork lies beside its run.") from error
        return path


def played(command: list[str], new: RunFolder) -> None:
    """Starts a process that plays a run, and waits until it does; after PATIENCE_S it is left to itself.

    Raises:
        HTTPException: when it ends with an error before, with what it said.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        until = time.monotonic() + PATIENCE_S
        while process.poll() is None and not plays(new) and time.monotonic() < until:
            time.sleep(OFTEN_S)
        if process.returncode:
            cleared(new.path)
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            why = "\n".join([line for line in lines if line.strip()][-TOLD_LINES:])
            raise HTTPException(409, f"the fork ended before it played (exit code {process.returncode}). {why}")
    threading.Thread(target=awaited, args=(process, new.path), daemon=True).start()


def awaited(process: subprocess.Popen[bytes], place: Path) -> None:
    """A process that nobody waits for stays a zombie."""
    if process.wait():
        cleared(place)


def cleared(place: Path) -> None:
    """Takes a fork's folder away while it is empty: what was made of a run can be resumed."""
    with suppress(OSError):
        place.rmdir()


def plays(run: RunFolder) -> bool:
    return any(row["kind"] == "resumed" for row in folder.rows(run.clock))


def serve(home: Path, port: int | None, host: str, announce: Any = print) -> None:
    """Until Ctrl-C.

    Raises:
        ConfigError: when `home` is no folder, or `host` is no address that can be opened.
        MachineError: when the port is taken.
    """
    if not home.is_dir():
        raise ConfigError(f"{home} is not a folder. Give the folder of your runs, or a run.")
    token = secrets.token_urlsafe(18)
    with bound(host, port) as listening:
        hosts = addresses(host, *listening.getsockname()[:2])
        announce(f"http://{hosts[0]}/#{token}")
        config = uvicorn.Config(
            app(home, hosts, token), log_level="warning", timeout_graceful_shutdown=1, server_header=False,
            lifespan="off",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])


def addresses(host: str, listens: str, port: int) -> list[str]:
    """By which the page may be asked for, the printed one first: `host`, where the server `listens` at that address.

    Raises:
        ConfigError: for an address that no browser can open.
    """
    if ip_address(listens).is_unspecified:
        raise ConfigError(
            f"--host {host} means all addresses of this machine, and the page answers to one name only.\n"
            "Give the name or the address by which you will open it: --host NAME. Or leave --host away, and open the "
            f"page\nthrough a tunnel from where you sit: ssh -L {port}:localhost:{port} THIS_MACHINE"
        )
    first = f"[{listens}]" if ":" in host else host  # RFC 3986, 3.2.2: IPv6 stands in brackets
    also = ["localhost"] if listens in ("127.0.0.1", "::1") else []
    return [f"{name}:{port}" for name in dict.fromkeys((first, *also))]


def bound(host: str, port: int | None) -> socket.socket:
    """The port that was asked for; without one the usual one, or any other that is free."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for number in (PORT, 0) if port is None else (port,):
        try:
            listening.bind((host, number))
        except OSError as error:
            why = error.strerror
        else:
            listening.listen(128)  # whoever comes now waits a moment
            return listening
    listening.close()
    raise MachineError(f"cannot listen at {host}, port {port}: {why}. Choose another --port.")
