"""A lease of the bench: one controller at a time, and no fault of one that is gone stays."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.errors import LeasedError, NotNowError
from firmware_emu.bench.lease import Lease
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.events import FaultCleared, LeaseEnded
from firmware_emu.now import Now
from tests.unit.bench.processes import DEADLINE_S, ThreadBench
from tests.unit.bench.test_rig_describes_itself import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = {"who": None, "left_ms": None}
STALL = ("PUT", "/v1/faults/motor-stall", {"on": True})


@pytest.fixture
def bench() -> Iterator[ThreadBench]:
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


def taken(bench: ThreadBench, who: str = "rig A", seconds: int = 3_600) -> dict[str, str]:
    """Take a lease; returns the header of its holder."""
    answer = bench.rig("PUT", "/v1/lease", {"who": who, "seconds": seconds})
    assert (answer["who"], 0 < answer["left_ms"] <= seconds * 1_000) == (who, True)
    return {"Pumpbench-Lease": answer["lease"]}


def is_on(bench: ThreadBench, fault: str) -> bool:
    (row,) = (row for row in bench.rig("GET", "/v1/faults")["faults"] if row["name"] == fault)
    return bool(row["on"])


def wait_until_it_has_ended(bench: ThreadBench) -> None:
    give_up_at_s = time.monotonic() + DEADLINE_S
    while bench.rig("GET", "/v1/lease") != NOBODY:
        assert time.monotonic() < give_up_at_s


BODIES: dict[str, Any] = {
    "/v1/clock": {"mode": "manual"},
    "/v1/clock/advance": {"ms": 1},
    "/v1/clock/run-until": {"what": "event", "limit_ms": 1},
    "/v1/syringe/fill": {"nl": 1},
    "/v1/faults/magnet": {"on": True},
    "/v1/lease": {"who": "rig B", "seconds": 1},
}


def test_every_verb_that_changes_something_is_for_the_holder_alone_and_every_look_for_everybody(
    bench: ThreadBench,
) -> None:
    header = taken(bench)
    verbs = list(operations(bench.rig("GET", "/openapi.json")))
    verbs.sort(
        key=lambda verb: (verb[0] == "delete", verb[1] == "/v1/shutdown")
    )  # what ends it all comes last
    for stale in ({}, {"Pumpbench-Lease": "0123456789abcdef"}):
        for method, path, _operation in verbs:
            status, answer = bench.ask(method.upper(), path, BODIES.get(path), stale)
            assert status == (200 if method == "get" else 423), path
            assert method == "get" or answer["error"].startswith(
                "rig A has this bench to itself for another "
            )
    for method, path, operation in verbs:
        if path != "/v1/shutdown" and method != "delete":
            assert bench.ask(method.upper(), path, BODIES.get(path), header)[0] == 200, path
        header_names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"]
        assert header_names == ([] if method == "get" else ["Pumpbench-Lease"])
        assert "423" in operation["responses"]
    assert bench.ask("DELETE", "/v1/lease", None, header) == (200, NOBODY)
    assert bench.ask("POST", "/v1/shutdown", None)[0] == 200


def test_a_lease_that_is_released_leaves_everything_as_it_is(bench: ThreadBench) -> None:
    header = taken(bench)
    assert bench.ask(*STALL, header)[0] == 200
    assert bench.ask("DELETE", "/v1/lease", None, header) == (200, NOBODY)
    assert is_on(bench, "motor-stall")
    status, answer = bench.ask("POST", "/v1/clock/advance", {"ms": 1}, header)
    assert (status, "this lease has ended" in answer["error"]) == (409, True)
    assert bench.rig("POST", "/v1/clock/advance", {"ms": 1}) == {"now_ms": 1}


def test_what_a_controller_that_is_gone_had_injected_is_cleared_and_nothing_else(bench: ThreadBench) -> None:
    bench.rig("PUT", "/v1/faults/magnet", {"on": True})
    header = taken(bench, seconds=1)
    verbs: list[tuple[str, str, Any]] = [
        STALL,
        ("PUT", "/v1/faults/accuracy", {"on": True, "parameters": {"accuracy_ppm": 900_000}}),
        ("PUT", "/v1/faults/accuracy", {"on": False}),
        ("POST", "/v1/power/cut", {"after_writes": 1_000_000}),
    ]
    for verb in verbs:
        assert bench.ask(*verb, header)[0] == 200
    assert is_on(bench, "motor-stall")
    before = bench.rig("GET", "/v1/state")["trace_hash"]
    wait_until_it_has_ended(bench)
    assert bench.rig("GET", "/v1/state")["trace_hash"] != before
    truth = bench.rig("GET", "/v1/state")["truth"]
    assert (truth["stalled"], truth["power_cut_armed"], truth["magnet_near"]) == (False, False, True)
    assert bench.ask("POST", "/v1/clock/advance", {"ms": 1}, header)[0] == 409
    bench.rig("POST", "/v1/clock/advance", {"ms": 1})


def test_a_lease_does_not_end_in_the_middle_of_an_advance(bench: ThreadBench) -> None:
    header = taken(bench, seconds=1)
    assert bench.ask(*STALL, header)[0] == 200
    line = os.open(bench.port.address, os.O_RDWR | os.O_NOCTTY)
    body = {"ms": 1, "after_received": 1}
    with ThreadPoolExecutor(1) as other_thread:
        advance = other_thread.submit(bench.ask, "POST", "/v1/clock/advance", body, header)
        give_up_at_s = time.monotonic() + DEADLINE_S
        while (left := bench.rig("GET", "/v1/lease"))["left_ms"]:
            assert time.monotonic() < give_up_at_s
        assert left == {"who": "rig A", "left_ms": 0}
        assert is_on(bench, "motor-stall")
        os.write(line, b"\0")
        assert advance.result(DEADLINE_S) == (200, {"now_ms": 1})
    wait_until_it_has_ended(bench)
    assert not is_on(bench, "motor-stall")
    os.close(line)


def test_the_trace_says_whose_lease_has_ended_and_what_was_cleared() -> None:
    pump = new_pump(load_profile("implanted"), 1)
    pump.inject("magnet", {})
    pump.step(Now.both(0))
    pump.end_lease("rig A", ["motor-stall", "magnet"])
    events = [entry.event for entry in pump.step(Now.both(0)).trace]
    assert events == [FaultCleared("magnet"), LeaseEnded("rig A", ("magnet",))]


def test_a_lease_is_renewed_by_its_holder_and_ends_by_the_hosts_time_under_manual_time_too() -> None:
    host_ns = 5_000_000_000
    clock = Clock(0, MANUAL, lambda: host_ns)
    lease = Lease(clock.host_s)
    assert Lease(clock.host_s).left_s is None
    lease.check(None)
    lease_id = lease.take("rig A", 10, None)
    host_ns += 9_000_000_000
    assert lease.left_s == 1.0
    assert lease.take("rig A, still", 10, lease_id) == lease_id
    host_ns += 9_500_000_000
    assert (lease.who, lease.left_s) == ("rig A, still", 0.5)
    with pytest.raises(LeasedError, match=r"^rig A, still has this bench to itself for another 0\.5 s; wait"):
        lease.take("rig B", 10, None)
    host_ns += 600_000_000
    assert lease.left_s == 0
    assert lease.end() == []
    lease.check(None)
    with pytest.raises(NotNowError, match="this lease has ended"):
        lease.take("rig A", 10, lease_id)
    assert lease.take("rig B", 10, None) != lease_id


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"who": "", "seconds": 1},
        {"who": "a\nb", "seconds": 1},
        {"who": "a", "seconds": 0},
        {"who": "x" * 81, "seconds": 1},
        {"who": " " * 5 + "x" * 80, "seconds": 1},
        {"who": " ", "seconds": 1},
        {"who": " " * 80, "seconds": 1},
        {"who": "\u00a0", "seconds": 1},
        {"who": "a\n", "seconds": 1},
    ],
)
def test_a_lease_of_nobody_or_of_no_time_is_refused(bench: ThreadBench, body: dict[str, Any]) -> None:
    assert bench.ask("PUT", "/v1/lease", body)[0] == 422
    assert bench.rig("GET", "/v1/lease") == NOBODY


def test_the_blanks_around_a_name_are_not_part_of_it(bench: ThreadBench) -> None:
    assert bench.rig("PUT", "/v1/lease", {"who": "  rig  A ", "seconds": 1})["who"] == "rig  A"


def test_a_lease_ends_in_a_bench_that_nothing_else_wakes(bench: ThreadBench) -> None:
    taken(bench, seconds=1)
    give_up_at_s = time.monotonic() + DEADLINE_S
    while bench.runner.lease.who is not None:  # looked at from here: a request would wake it
        assert time.monotonic() < give_up_at_s
