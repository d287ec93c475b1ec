"""Rig control and bytes from outside: whatever comes, the answer is JSON, and nothing but sentences reaches stderr."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.ports.tcp import parse_loopback
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import Emulator, ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.bench.processes import Asker

CHUNKED = b"Transfer-Encoding: chunked\r\n"
JSON_TYPE = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def bench() -> Iterator[ThreadBench]:
    """One bench under manual time that every test leaves as it was."""
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


def exchange(bench: Asker, *pieces: bytes) -> tuple[int, bytes, Any]:
    """Send each piece once the one before was answered; returns status, head and body of the last answer."""
    answer = b""
    with socket.create_connection(parse_loopback(bench.control_place), PATIENCE_S) as line:
        for piece in pieces:
            with contextlib.suppress(ConnectionError):
                line.sendall(piece)
                while not is_whole(answer := answer + line.recv(65_536)):
                    pass
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), json.loads(body or b"null")


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


def request(bench: Asker, line: bytes, headers: bytes = b"", *, token: bool = True) -> bytes:
    authorization = f"Authorization: Bearer {bench.ready['token']}\r\n" if token else ""
    return line + f" HTTP/1.1\r\nHost: {bench.control_place}\r\n{authorization}".encode() + headers + b"\r\n"


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_bytes_that_are_no_http_are_refused_in_json_and_no_traceback_reaches_stderr(
    token: bool, together: bool
) -> None:
    emulator = Emulator("--control", "127.0.0.1:0")
    cut = request(emulator, b"POST /v1/power/cut", CHUNKED + JSON_TYPE, token=token)
    pieces = [cut + b"ZZZ\r\n"] if together else [cut, b"ZZZ\r\n"]
    for number in range(4):
        status, _head, body = exchange(emulator, *(pieces if number % 2 else [b"\x00\xffGARBAGE\r\n\r\n"]))
        assert status in {400, 401, 411}
        assert set(body) == {"error"}
    assert emulator.rig("GET", "/v1/state")["powered"] is True
    ended = emulator.end()
    assert ended.code == 0
    assert "Traceback" not in ended.err
    assert "Exception" not in ended.err
    assert ended.err.count("\n") < 4, ended.err


def half_closed(bench: Asker, data: bytes) -> bytes:
    """All that comes back where the client closes its half of the connection behind what it sends."""
    answer = b""
    with socket.create_connection(parse_loopback(bench.control_place), PATIENCE_S) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        while piece := line.recv(65_536):
            answer += piece
    return answer


def posted(bench: Asker, ms: int, **others: int) -> bytes:
    """A whole advance."""
    body = json.dumps({"ms": ms} | others).encode()
    length = b"Content-Length: %d\r\n" % len(body)
    return request(bench, b"POST /v1/clock/advance", length + JSON_TYPE) + body


def test_what_was_asked_whole_is_answered_also_to_who_has_closed_its_half_of_the_connection() -> None:
    bench = ThreadBench(seed=3)
    look = request(bench, b"GET /v1/clock")
    answer = half_closed(bench, posted(bench, 1_000))
    assert (answer.count(b"200 OK"), b'{"now_ms":1000}' in answer) == (1, True), answer
    answer = half_closed(bench, posted(bench, 1_000, after_received=0))
    assert b'{"now_ms":2000}' in answer
    answer = half_closed(bench, look * 20 + posted(bench, 1) + look)
    assert (answer.count(b"200 OK"), answer.count(b'"now_ms":2001')) == (22, 2)
    assert b" 401 " in half_closed(bench, request(bench, b"GET /v1/clock", token=False))
    bench.close()


@pytest.mark.parametrize("before", [b"", b"look"])
def test_what_is_not_whole_is_not_carried_out_where_the_rest_cannot_come(before: bytes) -> None:
    bench = ThreadBench(seed=3)
    looks = request(bench, b"GET /v1/clock") * (before == b"look")
    whole = posted(bench, 1_000)
    for short in (whole[:-1], whole[: whole.index(b"{")]):
        answer = half_closed(bench, looks + short)
        assert answer.count(b"200 OK") == (before == b"look")
        assert answer.count(b"400 Bad Request") == 1
        assert b"ends in the middle of its body" in answer
    assert b"400" not in half_closed(bench, looks + whole[:9])
    assert half_closed(bench, b"") == b""
    assert bench.rig("GET", "/v1/clock")["now_ms"] == 0
    bench.close()


def test_an_answer_that_takes_its_time_reaches_who_has_closed_its_half() -> None:
    bench = ThreadBench(seed=3)
    line = os.open(bench.port.address, os.O_RDWR | os.O_NOCTTY)
    with ThreadPoolExecutor(1) as other_thread:
        answer = other_thread.submit(half_closed, bench, posted(bench, 1_000, after_received=1))
        give_up_at_s = time.monotonic() + PATIENCE_S
        while bench.ask("PUT", "/v1/clock", {"mode": "manual"})[0] != 409:
            assert time.monotonic() < give_up_at_s
        os.write(line, b"\0")
        assert b'{"now_ms":1000}' in answer.result(PATIENCE_S)
    os.close(line)
    bench.close()


@pytest.mark.parametrize("wanted", [b"websocket", b"h2c", b"TLS/1.0", b""])
def test_who_asks_for_another_protocol_is_answered_in_http_and_nothing_is_logged(wanted: bytes) -> None:
    said: list[str] = []
    bench = ThreadBench(seed=3, say=said.append)
    headers = b"Connection: Upgrade\r\nUpgrade: " + wanted + b"\r\n"
    for line in (b"GET /v1/clock", b"GET /v1/nothing"):
        status, head, _body = exchange(bench, request(bench, line, headers))
        assert (status, b"upgrade" in head) == (404 if b"nothing" in line else 200, False)
    bench.close()
    assert said == []


def nested(levels: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    return opening * levels + b"1" + closing * levels


ODD_VALUES = [
    *(nested(levels) for levels in (200, 300, 400, 500, 700, 900, 950, 980, 1_000, 3_000)),
    *(nested(levels, b"[", b"]") for levels in (300, 500, 900, 980, 3_000)),
    rb'"\ud800"',
    rb'{"\ud800": 1}',
    rb'{"\udfff\u0000\n": "\ud800"}',
    rb'["\ud800"]',
    b"9" * 4_300,
    b"1e308",
    b"Infinity",
]
BODY_FIELDS: list[tuple[str, str, list[str]]] = [
    ("PUT", "/v1/clock", ["mode", "speed"]),
    ("POST", "/v1/clock/advance", ["ms", "after_received"]),
    ("POST", "/v1/clock/run-until", ["what", "limit_ms", "name", "count", "field", "operator", "value"]),
    ("POST", "/v1/power/cut", ["after_writes", "torn_after_bytes"]),
    ("POST", "/v1/power/restore", ["off_ms"]),
    ("POST", "/v1/syringe/aspirate", ["nl"]),
    ("POST", "/v1/syringe/fill", ["nl", "concentration_ng_per_ml"]),
    ("PUT", "/v1/faults/motor-stall", ["on", "parameters"]),
    ("PUT", "/v1/lease", ["who", "seconds"]),
    ("POST", "/v1/shutdown", []),
]
GIVEN: dict[str, bytes] = {
    "parameters": b'"on": true, ',
    "limit_ms": b'"what": "event", ',
    "name": b'"what": "event", "limit_ms": 1, ',
    "count": b'"what": "event", "limit_ms": 1, ',
    "field": b'"what": "truth", "limit_ms": 1, "operator": "==", ',
    "operator": b'"what": "truth", "limit_ms": 1, "field": "edges", ',
    "value": b'"what": "truth", "limit_ms": 1, "field": "edges", "operator": "==", ',
    "who": b'"seconds": 1, ',
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize(("method", "path", "fields"), BODY_FIELDS)
def test_no_body_whatever_is_in_it_is_a_fault_of_the_bench(
    bench: ThreadBench, method: str, path: str, fields: list[str]
) -> None:
    bodies = [
        b'{%s"%s": %s}' % (GIVEN.get(name, b""), name.encode(), odd) for name in fields for odd in ODD_VALUES
    ]
    bodies += [b'{"\\ud800": %s}' % odd for odd in ODD_VALUES]
    for body in bodies + ODD_VALUES:
        status, answer = bench.ask(method, path, body)
        assert (status in {400, 422}, set(answer)) == (True, {"error"}), (body[:60], answer)
        answer["error"].encode()
    bench.rig("GET", "/v1/clock")


@pytest.mark.parametrize("name", ["%ED%A0%80", "%00", "%0A", "%FF", "motor-stall%F0%9F%92%89"])
def test_a_name_of_any_bytes_is_told_back_as_text(bench: ThreadBench, name: str) -> None:
    status, answer = bench.ask("PUT", f"/v1/faults/{name}", {"on": True})
    assert (status, "there is no fault" in answer["error"]) == (422, True)


def test_a_method_that_a_path_does_not_have_is_told_with_those_that_it_has(bench: ThreadBench) -> None:
    status, head, body = exchange(bench, request(bench, b"DELETE /v1/state"))
    assert (status, set(body)) == (405, {"error"})
    assert b"\r\nallow: get" in head


@pytest.mark.parametrize("verb", ["/v1/clock/advance", "/v1/power/cut", "/v1/clock/run-until"])
def test_a_disk_that_is_full_ends_the_bench_and_whoever_asked_is_told_why(tmp_path: Path, verb: str) -> None:
    """Were it told as a refusal, the pump would live on, and its image would lack what the step had written."""
    bodies: dict[str, Any] = {"/v1/clock/advance": {"ms": 1}, "/v1/power/cut": {}}
    body = bodies.get(verb, {"what": "alarm", "limit_ms": 86_400_000})
    path = tmp_path / "image"
    emulator = Emulator("--image", path, "--time", "manual", "--control", "127.0.0.1:0")
    emulator.rig("GET", "/v1/clock")
    room = path.stat().st_size + 10
    resource.prlimit(emulator.process.pid, resource.RLIMIT_FSIZE, (room, room))
    status, answer = emulator.ask("POST", verb, body)
    while status == 200:
        status, answer = emulator.ask("POST", verb, body)
    ended = emulator.wait()
    assert status in {409, 503}
    assert ("cannot write image" if status == 503 else "the bench is closing") in answer["error"]
    assert (ended.code, "Traceback" in ended.err) == (7, False), ended.err
    assert "cannot write image" in ended.err


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"ms": %s}' % (b"9" * 5_000), "a number in the body has more than 4300 digits"),
        (b'{"ms": ' + b"[" * 50_000 + b"]" * 12 + b"}", "nested deeper than can be read"),
        ('{"ms": "\u00fc"}'.encode("latin-1"), "byte 8 of the body is not UTF-8"),
        (b'{"ms": 1', "the body is not JSON"),
    ],
    ids=["digits", "nested", "latin-1", "no JSON"],
)
def test_a_body_that_cannot_be_read_is_told_why(bench: ThreadBench, body: bytes, why: str) -> None:
    status, answer = bench.ask("POST", "/v1/clock/advance", body)
    assert status in {400, 422}
    assert why in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (b"/v1/power/cut?after_writes=5", b"{}", "query"),
        (b"/v1/clock/advance?ms=5", b'{"ms": 1}', "query"),
        (b"/v1/clock/advance", b'{"ms": 1, "ms": 5}', "ms: it is there twice"),
        (b"/v1/syringe/aspirate", b'{"nl": 5, "nl": null}', "nl: it is there twice"),
    ],
)
def test_what_would_be_left_out_unseen_is_refused_and_nothing_is_done(
    bench: ThreadBench, path: bytes, body: bytes, why: str
) -> None:
    before = bench.rig("GET", "/v1/state")
    headers = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    status, _, answer = exchange(bench, request(bench, b"POST %s" % path, headers) + body)
    assert status == 422
    assert why in answer["error"]
    assert bench.rig("GET", "/v1/state") == before
