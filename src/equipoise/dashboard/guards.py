"""Who may ask the page for what: the host that it is bound to, and, to act, the token that was printed."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN = b"x-equipoise-token"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}  # fmt: skip
MOST = 8192  # bytes that may be sent to the page


class Guarded:
    """An application behind its guards. Another host's name would be a page elsewhere that reads this one (DNS
    rebinding); a header cannot be sent along by a form or a link of another page."""

    def __init__(self, app: App, hosts: Collection[str], token: str):
        self.app, self.hosts, self.token = app, {host.lower().encode() for host in hosts}, token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        if headers.get(b"host", b"").lower() not in self.hosts:
            return await refuse(send, 403, "this page answers to the address that was printed, and to no other.")
        if scope["method"] not in ("GET", "HEAD"):
            if not hmac.compare_digest(headers.get(TOKEN, b""), self.token):
                return await refuse(send, 403, "to act, open the address that was printed: it holds the token.")
            if not headers.get(b"content-length", b"").isdigit() or int(headers[b"content-length"]) > MOST:
                return await refuse(send, 413, "that is too long for a request.")

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        await self.app(scope, receive, told)


async def refuse(send: Send, status: int, why: str) -> None:
    body = why.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
