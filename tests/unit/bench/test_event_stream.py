"""The stream of events: what happens as it happens, each reader at its own pace, and never in the pump's way."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench import trace_ring
from firmware_emu.bench.ports.tcp import parse_loopback
from firmware_emu.bench.rig.connections import HOLDERS_MAX, STRANGERS_MAX
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.errors import BadConfiguration, BenchLost, UsageError
from hil.event_reader import EventReader
from hil.rig import LostEvents, RigEvent
from hil.rig_client import RigClient
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 500
"""Entries that a trace keeps in the tests of one that is full."""
STALL = {"on": True, "parameters": {"duration_ms": 2 * MS_PER_HOUR}}


@pytest.fixture
def bench() -> Iterator[ThreadBench]:
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


def reader(bench: ThreadBench, since: int | None = None, token: str = "the token") -> EventReader:  # noqa: S107
    path = "/v1/events" if since is None else f"/v1/events/{since}"
    return EventReader(bench.ready["control"], path, token, None)


def kinds_until(events: EventReader, last: str) -> list[str]:
    """Kinds of the next events, up to one."""
    found = []
    for event in events:
        assert isinstance(event, RigEvent), event
        found.append(event.kind)
        if event.kind == last:
            return found
    raise AssertionError(found)


def test_a_reader_sees_what_happens_from_the_moment_on_at_which_it_came(bench: ThreadBench) -> None:
    bench.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
    with reader(bench) as events:
        bench.rig("PUT", "/v1/faults/motor-stall", STALL)
        assert kinds_until(events, "FaultInjected") == ["FaultInjected"], "and not the hour before"
        bench.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
        assert "LogWritten" in kinds_until(events, "AlarmRaised")


def test_a_reader_that_was_cut_off_goes_on_from_its_mark_and_misses_nothing(bench: ThreadBench) -> None:
    bench.rig("POST", "/v1/clock/advance", {"ms": MS_PER_DAY})
    whole = bench.rig("GET", "/v1/trace/0")
    seen: list[Any] = []
    for since in (0, 10, whole["mark"] - 1):
        with reader(bench, since) as events:
            seen = [next(events) for _ in range(whole["mark"] - since)]
        assert [event.kind for event in seen] == [entry["kind"] for entry in whole["entries"][since:]]


def test_every_event_has_the_mark_after_it_as_its_id(bench: ThreadBench) -> None:
    connection = http.client.HTTPConnection(bench.control_place, timeout=PATIENCE_S)
    with closing(connection):
        connection.request("GET", "/v1/events/3", headers={"Authorization": "Bearer the token"})
        answer = connection.getresponse()
        assert answer.headers.get_content_type() == "text/event-stream"
        lines = [answer.readline().decode() for _ in range(8)]
    assert [line[:6] for line in lines] == [
        "event:",
        "data: ",
        "id: 4\n",
        "\n",
        "event:",
        "data: ",
        "id: 5\n",
        "\n",
    ]
    entries = bench.rig("GET", "/v1/trace/3")["entries"]
    assert json.loads(lines[1].removeprefix("data: ")) == entries[0]


def test_a_stream_ends_in_good_order_with_the_bench(bench: ThreadBench) -> None:
    said: list[str] = []
    bench = ThreadBench(seed=3, say=said.append)
    with reader(bench) as idle, reader(bench, 0) as busy:
        next(busy)
        began_s = time.monotonic()
        bench.close()
        assert list(idle) == []
        assert all(isinstance(event, RigEvent) for event in busy)
    assert time.monotonic() - began_s < PATIENCE_S
    assert said == [], "nothing was cut off"


def test_readers_that_go_away_hold_no_places(bench: ThreadBench) -> None:
    for _ in range(HOLDERS_MAX + STRANGERS_MAX):
        reader(bench).close()
    give_up_at_s = time.monotonic() + PATIENCE_S
    while bench.runner.trace_readers:
        assert time.monotonic() < give_up_at_s
        bench.rig("GET", "/v1/clock")


@pytest.mark.parametrize(("since", "error"), [(10**9, UsageError), (-1, UsageError)])
def test_a_mark_that_is_none_is_refused_before_the_stream_begins(
    bench: ThreadBench, since: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"no mark|greater than"):
        reader(bench, since)
    with pytest.raises(BadConfiguration, match="token"):
        reader(bench, token="a guess")  # noqa: S106 - a wrong one


# Attack 9.10: a slow reader of the stream of events.
def test_a_reader_that_does_not_read_loses_what_it_was_too_slow_for_and_never_holds_up_the_pump(
    bench: ThreadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = ThreadBench(seed=3)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.settimeout(PATIENCE_S)
    slow.connect(parse_loopback(bench.control_place))
    slow.sendall(
        b"GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer the token\r\n\r\n"
        % bench.control_place.encode()
    )
    head = slow.recv(300)
    assert b"200 OK" in head
    monkeypatch.setattr(trace_ring, "ENTRIES_KEPT", KEPT)
    hours = {"what": "event", "name": "MemoryChanged", "count": 10 * KEPT, "limit_ms": 1_000 * MS_PER_DAY}
    runs = [each.rig("POST", "/v1/clock/run-until", hours) for each in (bench, undisturbed)]
    assert runs[0] == runs[1]
    states = [each.rig("GET", "/v1/state") for each in (bench, undisturbed)]
    assert states[0] == states[1], "to the last byte of its trace"
    ring = bench.runner.host.ring
    assert ring is not None
    assert ring.mark - ring.kept_from < KEPT + 100, "bounded, whoever does not read"
    text, lost = head, 0
    while not lost:
        text = text[-4_096:] + slow.recv(65_536)
        if b"event: lost" in text:
            text += slow.recv(4_096)
            lost = json.loads(text.partition(b"event: lost\ndata: ")[2].partition(b"\n")[0])["lost"]
    assert 0 < lost <= ring.mark
    slow.close()
    undisturbed.close()


def test_what_a_reader_was_too_slow_for_is_told_as_a_number_in_its_place(
    bench: ThreadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_ring, "ENTRIES_KEPT", KEPT)
    hours = {"what": "event", "name": "MemoryChanged", "count": 3 * KEPT, "limit_ms": 1_000 * MS_PER_DAY}
    bench.rig("POST", "/v1/clock/run-until", hours)
    ring = bench.runner.host.ring
    assert ring is not None
    with closing(RigClient(bench.ready["control"], "the token")) as rig:
        trace = rig.trace(5)
        with rig.events(5) as events:
            first = next(events)
    assert first == LostEvents(ring.kept_from - 5)
    assert (trace.lost, len(trace.events)) == (ring.kept_from - 5, ring.mark - ring.kept_from)


def test_a_bench_that_breaks_off_in_a_stream_is_lost(bench: ThreadBench) -> None:
    events = reader(bench)
    assert events._connection.sock is not None
    events._connection.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(BenchLost, match="does not answer GET /v1/events any more"):
        next(events)
    assert list(events) == [], "an iterator that has ended has ended"


def test_a_reader_that_waits_no_longer_than_it_said_ends_without_a_word(bench: ThreadBench) -> None:
    bench.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
    mark = bench.rig("GET", "/v1/trace")["mark"]
    with closing(RigClient(bench.ready["control"], "the token")) as rig:
        assert list(rig.events(mark, wait_s=0.05)) == []
