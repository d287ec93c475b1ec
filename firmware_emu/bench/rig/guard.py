"""Who may talk to rig control: this machine, with the token, and no browser page from elsewhere.

Rig control can stop a pump, so it is guarded like one even though the pump is virtual. A web page that
somebody has open can send requests to loopback: its Origin gives it away, a Host that is not ours is a
rebound name, and a form cannot send JSON (`api` looks at that, once it knows what is asked for). The token
is compared in constant time, and wrong ones are soon told to come back later; the right one always passes,
so nobody can lock the bench out by guessing.
"""

from __future__ import annotations

import hmac
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from firmware_emu.bench.rig.connections import Connections

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]
    Refusal = tuple[HTTPStatus, str]

BODY_MAX_BYTES = 65_536
SNAPSHOT_PATH = "/v1/snapshots/"
SNAPSHOT_MAX_BYTES = 1 << 23
WRONG_TOKENS_MAX = 10
WRONG_TOKENS_WINDOW_S = 10.0
ONCE = (b"content-type", b"pumpbench-lease")  # what else is read of a request; the first would win of two


class RefusalBudget:
    """How many wrong tokens are answered as such before they are told to wait."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._window_ends_s = 0.0
        self._count = 0

    def is_spent(self) -> bool:
        """Count one more wrong token; True where there were too many of late."""
        now_s = self._now_s()
        if now_s >= self._window_ends_s:
            self._window_ends_s = now_s + WRONG_TOKENS_WINDOW_S
            self._count = 0
        self._count += 1
        return self._count > WRONG_TOKENS_MAX


class Guard:
    """Looks at each request before the application sees it."""

    def __init__(self, app: App, token: str, port: int, connections: Connections) -> None:
        self._app = app
        self._connections = connections
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost", "[::1]")}
        self._budget = RefusalBudget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with one sentence."""
        if scope["type"] != "http":
            return  # nothing else is spoken here
        longest_bytes = body_limit_bytes(scope["method"], scope["path"])
        refusal = self._refusal(scope["headers"], longest_bytes)
        if refusal is None and not self._connections.is_holder(tuple(scope["client"] or ())):
            refusal = HTTPStatus.SERVICE_UNAVAILABLE, "too many connections hold the token; close some"
        if refusal is None:
            await self._app(scope, _counted(receive, longest_bytes), send)
            return
        status, sentence = refusal
        headers = {"connection": "close"}
        if status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            headers["retry-after"] = f"{WRONG_TOKENS_WINDOW_S:.0f}"
        await refused(status, sentence, headers)(scope, receive, send)

    def _refusal(self, headers: list[tuple[bytes, bytes]], longest_bytes: int) -> Refusal | None:
        if _one(headers, b"host") not in self._hosts:
            return HTTPStatus.FORBIDDEN, "this name is not the bench's; use the address of the ready line"
        origin = _one(headers, b"origin")
        if origin is not None and origin.removeprefix(b"http://") not in self._hosts:
            return HTTPStatus.FORBIDDEN, "a web page from elsewhere may not drive the bench"
        scheme, _, token = (_one(headers, b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            if self._budget.is_spent():
                return HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; wait before the next"
            return HTTPStatus.UNAUTHORIZED, "send the token of the ready line: Authorization: Bearer TOKEN"
        for name in ONCE:
            if sum(key == name for key, _ in headers) > 1:
                return HTTPStatus.BAD_REQUEST, f"send the header {name.decode().title()} once"
        return _refuse_body(headers, longest_bytes)


def refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to what is refused. Half a surrogate pair, which a client may send and no UTF-8 holds, is escaped."""
    return JSONResponse(
        {"error": sentence.encode(errors="backslashreplace").decode()}, status, headers and dict(headers)
    )


def _counted(receive: Receive, longest_bytes: int) -> Receive:
    """The body as it arrives; HTTPException where more comes than a request may have, whatever its header said."""
    arrived = 0

    async def receive_counted() -> MutableMapping[str, Any]:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > longest_bytes:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_long(longest_bytes), {"connection": "close"}
            )
        return message

    return receive_counted


def _refuse_body(headers: list[tuple[bytes, bytes]], longest_bytes: int) -> Refusal | None:
    length = _one(headers, b"content-length")
    in_pieces = _one(headers, b"transfer-encoding") is not None
    if length is not None and in_pieces:
        return (
            HTTPStatus.BAD_REQUEST,
            "send Content-Length or Transfer-Encoding: both are two requests to somebody",
        )
    if length is None and not in_pieces:
        return None  # no body at all, as curl sends a bare POST
    if length is None or not length.isdigit():
        return HTTPStatus.LENGTH_REQUIRED, "send the body in one piece, with its Content-Length"
    if int(length.lstrip(b"0")[:9] or b"0") > longest_bytes:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_long(longest_bytes)
    return None


def body_limit_bytes(method: str, path: str) -> int:
    """How long the body of a request may be: one may bring a whole pump."""
    return SNAPSHOT_MAX_BYTES if method == "PUT" and path.startswith(SNAPSHOT_PATH) else BODY_MAX_BYTES


def _too_long(longest_bytes: int) -> str:
    return f"a request has {longest_bytes} bytes at most"


def _one(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header; of one that is sent twice a value that fits nothing."""
    values = [value for key, value in headers if key == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else b"sent more than once"
