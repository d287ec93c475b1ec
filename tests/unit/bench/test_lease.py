"""A lease of the bench: one controller at a time, and no fault of one that is gone stays."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.clock import MANUAL, Clock
from firmware_emu.bench.errors import LeasedError, NotNowError
from firmware_emu.bench.lease import PAST_MAX, Lease
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.events import FaultCleared, LeaseEnded
from firmware_emu.now import Now
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import ThreadBench
from tests.unit.bench.test_rig_describes_itself import operations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

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
    give_up_at_s = time.monotonic() + PATIENCE_S
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
    bench.rig("PUT", "/v1/snapshots/magnet")
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
    assert bench.rig("POST", "/v1/clock/advance", {"ms": 1}) == {"now_ms": 1}


def told(bench: ThreadBench, lease_id: str) -> str:
    """What is told to each verb of who comes with this id, where nobody has the bench."""
    verbs = (("POST", "/v1/clock/advance"), ("PUT", "/v1/lease"), ("DELETE", "/v1/lease"))
    answers = [bench.ask(*verb, BODIES.get(verb[1]), {"Pumpbench-Lease": lease_id}) for verb in verbs]
    assert answers == [answers[0]] * len(verbs)
    assert answers[0][0] == 409
    return str(answers[0][1]["error"])


def test_what_is_told_of_a_lease_that_is_over_or_never_was_is_so_of_it(bench: ThreadBench) -> None:
    released = taken(bench)["Pumpbench-Lease"]
    assert bench.ask(*STALL, {"Pumpbench-Lease": released})[0] == 200
    assert bench.ask("DELETE", "/v1/lease", None, {"Pumpbench-Lease": released}) == (200, NOBODY)
    sentence = told(bench, released)
    assert is_on(bench, "motor-stall")
    assert sentence == (
        "this lease has ended, as its holder released it, and what was injected under it stays; take a new one"
    )
    bench.rig("PUT", "/v1/faults/motor-stall", {"on": False})
    ran_out = taken(bench, seconds=1)["Pumpbench-Lease"]
    assert bench.ask(*STALL, {"Pumpbench-Lease": ran_out})[0] == 200
    wait_until_it_has_ended(bench)
    assert told(bench, ran_out) == (
        "this lease has ended, and what was injected under it was cleared; take a new one"
    )
    assert not is_on(bench, "motor-stall")
    assert told(bench, released) == sentence
    for never in ("", "0123456789abcdef", "invented", released.upper(), "\xe9"):
        assert told(bench, never).startswith("no lease with this id is known here; ")


def test_leases_that_are_over_take_no_more_room_than_they_may() -> None:
    lease = Lease(Clock(0, MANUAL).host_s)
    ids = [lease.take("rig A", 1, None)]
    for _ in range(PAST_MAX + 1):
        lease.release(ids[-1])
        ids.append(lease.take("rig A", 1, None))
    lease.end()
    for number, sentence in ((0, "known"), (1, "known"), (2, "has ended"), (-1, "has ended")):
        with pytest.raises(NotNowError, match=sentence):
            lease.check(ids[number])


def begin_advance(bench: ThreadBench, thread: ThreadPoolExecutor, header: dict[str, str]) -> Future[Any]:
    """An advance of 5 s that waits for a byte; returns once it is under way."""
    body = {"ms": 5_000, "after_received": 1}
    advance = thread.submit(bench.ask, "POST", "/v1/clock/advance", body, header)
    give_up_at_s = time.monotonic() + PATIENCE_S
    while bench.ask("PUT", "/v1/clock", {"mode": "manual"}, header)[0] != 409:
        assert time.monotonic() < give_up_at_s
    return advance


def test_no_time_run_of_one_controller_goes_on_under_the_lease_of_another(bench: ThreadBench) -> None:
    line = os.open(bench.port.address, os.O_RDWR | os.O_NOCTTY)
    with ThreadPoolExecutor(1) as other_thread:
        header = taken(bench)
        advance = begin_advance(bench, other_thread, header)
        assert bench.ask("DELETE", "/v1/lease", None, header) == (200, NOBODY)
        status, answer = advance.result(PATIENCE_S)
        assert (status, answer["error"]) == (
            409,
            "the lease was released while time was being turned; it stands at 0 ms",
        )
        header = taken(bench, "rig B")
        os.write(line, b"\0")
        give_up_at_s = time.monotonic() + PATIENCE_S
        while bench.rig("GET", "/v1/state")["received_bytes"] < 1:
            assert time.monotonic() < give_up_at_s
        assert bench.rig("GET", "/v1/clock")["now_ms"] == 0
        assert bench.ask("POST", "/v1/clock/advance", {"ms": 1}, header) == (200, {"now_ms": 1})
    os.close(line)


def test_nobody_takes_the_bench_to_himself_while_somebody_turns_its_time(bench: ThreadBench) -> None:
    line = os.open(bench.port.address, os.O_RDWR | os.O_NOCTTY)
    with ThreadPoolExecutor(1) as other_thread:
        advance = begin_advance(bench, other_thread, {})
        status, answer = bench.ask("PUT", "/v1/lease", {"who": "rig B", "seconds": 60})
        assert (status, answer["error"]) == (409, "time is being turned; wait for that answer")
        assert bench.ask("DELETE", "/v1/lease", None) == (200, NOBODY)
        os.write(line, b"\0")
        assert advance.result(PATIENCE_S) == (200, {"now_ms": 5_000})
    taken(bench, "rig B")
    os.close(line)


def test_a_holder_renews_its_lease_while_it_turns_time(bench: ThreadBench) -> None:
    line = os.open(bench.port.address, os.O_RDWR | os.O_NOCTTY)
    with ThreadPoolExecutor(1) as other_thread:
        header = taken(bench)
        advance = begin_advance(bench, other_thread, header)
        assert bench.ask("PUT", "/v1/lease", {"who": "rig A", "seconds": 60}, header)[0] == 200
        os.write(line, b"\0")
        assert advance.result(PATIENCE_S) == (200, {"now_ms": 5_000})
    os.close(line)


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
        give_up_at_s = time.monotonic() + PATIENCE_S
        while (left := bench.rig("GET", "/v1/lease"))["left_ms"]:
            assert time.monotonic() < give_up_at_s
        assert left == {"who": "rig A", "left_ms": 0}
        assert is_on(bench, "motor-stall")
        os.write(line, b"\0")
        assert advance.result(PATIENCE_S) == (200, {"now_ms": 1})
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


@pytest.mark.one_in(6)
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
    give_up_at_s = time.monotonic() + PATIENCE_S
    while bench.runner.lease.who is not None:  # looked at from here: a request would wake it
        assert time.monotonic() < give_up_at_s
