"""Who is let in to rig control, header by header, without a server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.rig.api import rig_app
from firmware_emu.bench.rig.connections import Connections
from firmware_emu.bench.rig.guard import (
    BODY_MAX_BYTES,
    WRONG_TOKENS_MAX,
    WRONG_TOKENS_WINDOW_S,
    Guard,
    RefusalBudget,
)

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

PORT = 4_711
GOOD = {
    "host": f"127.0.0.1:{PORT}",
    "authorization": "Bearer right",
    "content-type": "application/json",
    "content-length": "2",
}


class Application:
    """Says 200 to whatever gets through."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.calls += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def ask(
    guard: Guard,
    headers: dict[str, str],
    method: str = "POST",
    twice: str | None = None,
    pieces: Sequence[bytes] = (b"{}",),
) -> tuple[int, dict[str, Any]]:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    if twice is not None:
        raw.append((twice.encode(), headers[twice].encode()))
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    left = list(pieces)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    path = {"path": "/v1/clock/advance", "raw_path": b"/v1/clock/advance", "query_string": b""}
    scope = {"type": "http", "method": method, "headers": raw, "client": ("127.0.0.1", 1)}
    asyncio.run(guard(scope | path, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def guard() -> Guard:
    return Guard(Application(), "right", PORT, Connections())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_with_the_token_is_let_in(guard: Guard, host: str) -> None:
    assert ask(guard, GOOD | {"host": f"{host}:{PORT}"}) == (200, {})


def test_a_page_of_the_bench_itself_is_let_in(guard: Guard) -> None:
    assert ask(guard, GOOD | {"origin": f"http://127.0.0.1:{PORT}"})[0] == 200


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"host": "pump.attacker.example:4711"}, 403, "not the bench's"),
        ({"host": "127.0.0.1"}, 403, "not the bench's"),
        ({"host": "127.0.0.1:80"}, 403, "not the bench's"),
        ({"origin": "http://attacker.example"}, 403, "web page from elsewhere"),
        ({"origin": "null"}, 403, "web page from elsewhere"),
        ({"origin": f"https://127.0.0.1:{PORT}"}, 403, "web page from elsewhere"),
        ({"authorization": "Bearer wrong"}, 401, "token of the ready line"),
        ({"authorization": "Bearer "}, 401, "token of the ready line"),
        ({"authorization": "right"}, 401, "token of the ready line"),
        ({"authorization": ""}, 401, "token of the ready line"),
        ({"authorization": "Basic right"}, 401, "token of the ready line"),
        ({"authorization": "Bearer right right"}, 401, "token of the ready line"),
        ({"authorization": "Bearerright"}, 401, "token of the ready line"),
        ({"content-length": str(BODY_MAX_BYTES + 1)}, 413, "bytes at most"),
        ({"content-length": "9" * 5_000}, 413, "bytes at most"),
        ({"content-length": "0" * 9 + str(BODY_MAX_BYTES + 1)}, 413, "bytes at most"),
        ({"content-length": "-1"}, 411, "in one piece"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(
    guard: Guard, changed: dict[str, str], status: int, why: str
) -> None:
    answered, body = ask(guard, GOOD | changed)
    assert answered == status
    assert why in body["error"]


@pytest.mark.parametrize(
    ("missing", "status"),
    [("host", 403), ("authorization", 401)],
)
def test_each_header_is_needed(guard: Guard, missing: str, status: int) -> None:
    headers = {name: value for name, value in GOOD.items() if name != missing}
    assert ask(guard, headers)[0] == status


def test_a_request_without_a_length_has_no_body_unless_it_comes_in_pieces(guard: Guard) -> None:
    bare = {name: value for name, value in GOOD.items() if name != "content-length"}
    assert ask(guard, bare)[0] == 200
    status, body = ask(guard, bare | {"transfer-encoding": "chunked"})
    assert status == 411
    assert "in one piece" in body["error"]


@pytest.mark.parametrize("length", ["0", "00", "0" * 30 + "2", str(BODY_MAX_BYTES), f"000{BODY_MAX_BYTES}"])
def test_a_length_is_the_number_that_it_is_however_it_is_written(guard: Guard, length: str) -> None:
    assert ask(guard, GOOD | {"content-length": length})[0] == 200


@pytest.mark.parametrize("length", ["0", "2", None])
def test_more_than_a_request_may_have_is_refused_as_it_arrives_whatever_its_header_said(
    length: str | None,
) -> None:
    guard = rig_app(CommandQueue(), "right", PORT, Connections())
    headers = {name: value for name, value in GOOD.items() if name != "content-length"}
    if length is not None:
        headers["content-length"] = length
    half = b" " * (BODY_MAX_BYTES // 2)
    status, body = ask(guard, headers, pieces=[half, half, b" "])
    assert (status, "bytes at most" in body["error"]) == (413, True)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_no_body_is_read_of_may_not_have_a_longer_one_either(guard: Guard, method: str) -> None:
    assert ask(guard, GOOD | {"content-length": str(BODY_MAX_BYTES + 1)}, method)[0] == 413
    bare = {name: value for name, value in GOOD.items() if name != "content-length"}
    assert ask(guard, bare | {"transfer-encoding": "chunked"}, method)[0] == 411


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_name_of_a_scheme_is_the_same_in_any_case(guard: Guard, scheme: str) -> None:
    assert ask(guard, GOOD | {"authorization": f"{scheme} right"})[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_body_of_two_lengths_is_refused(guard: Guard, method: str) -> None:
    status, body = ask(guard, GOOD | {"transfer-encoding": "chunked"}, method)
    assert (status, "two requests to somebody" in body["error"]) == (400, True)


@pytest.mark.parametrize(
    ("doubled", "status"),
    [
        ("host", 403),
        ("origin", 403),
        ("authorization", 401),
        ("content-length", 411),
        ("content-type", 400),
        ("pumpbench-lease", 400),
    ],
)
def test_a_header_that_is_read_and_sent_twice_is_no_header(guard: Guard, doubled: str, status: int) -> None:
    headers = GOOD | {"pumpbench-lease": "0123456789abcdef", "origin": f"http://127.0.0.1:{PORT}"}
    assert ask(guard, headers)[0] == 200
    assert ask(guard, headers, twice=doubled)[0] == status


def test_reading_needs_the_token_and_no_body(guard: Guard) -> None:
    headers = {name: GOOD[name] for name in ("host", "authorization")}
    assert ask(guard, headers, "GET")[0] == 200
    assert ask(guard, {"host": GOOD["host"]}, "GET")[0] == 401


def test_what_is_refused_never_reaches_the_application() -> None:
    application = Application()
    guard = Guard(application, "right", PORT, Connections())
    ask(guard, GOOD | {"authorization": "Bearer wrong"})
    assert application.calls == 0


# Attack 9.2: no token, or a wrong one, again and again.
def test_guessing_is_slowed_down_and_the_right_token_still_passes(guard: Guard) -> None:
    wrong = GOOD | {"authorization": "Bearer guess"}
    answers = [ask(guard, wrong)[0] for _ in range(WRONG_TOKENS_MAX + 2)]
    assert answers == [401] * WRONG_TOKENS_MAX + [429, 429]
    assert ask(guard, GOOD)[0] == 200


def test_the_budget_for_wrong_tokens_comes_back() -> None:
    now_s = 100.0
    budget = RefusalBudget(lambda: now_s)
    spent = [budget.is_spent() for _ in range(WRONG_TOKENS_MAX + 1)]
    assert spent == [False] * WRONG_TOKENS_MAX + [True]
    now_s += WRONG_TOKENS_WINDOW_S
    assert not budget.is_spent()
