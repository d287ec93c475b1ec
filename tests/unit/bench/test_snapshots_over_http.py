"""Snapshots over rig control and in process are the same snapshots: what one bench has kept another goes on from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.rig.guard import BODY_MAX_BYTES, SNAPSHOT_MAX_BYTES
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.errors import OutcomeUnknown, UsageError
from hil.noise import Direction, FaultyLine
from hil.outcome_store import OutcomeStore
from hil.programmer.programmer import Programmer
from hil.rig_client import RigClient
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.port import open_port
from hil.watched_rig import WatchedRig
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY_ID = 0xFEDC_BA98_7654_3210


@pytest.fixture(scope="module")
def bench() -> Iterator[ThreadBench]:
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


@pytest.fixture
def served(bench: ThreadBench) -> Iterator[RigClient]:
    bench.renew("implanted")
    with_token = RigClient(str(bench.ready["control"]), str(bench.ready["token"]))
    for kept in with_token.snapshots():
        with_token.forget(kept.name)
    yield with_token
    with_token.close()


@pytest.fixture
def line(bench: ThreadBench, served: RigClient) -> Iterator[FaultyLine]:
    """The line to the pump behind the port."""
    line = FaultyLine(open_port(str(bench.ready["port"]), "the port"))
    yield line
    line.close()


@pytest.fixture
def clinician(line: FaultyLine, tmp_path: Path) -> Iterator[Programmer]:
    """A clinician on that line, who keeps outcomes on file."""
    store = OutcomeStore(tmp_path / "state")
    with Programmer(line, key=development_key(Role.CLINICIAN), store=store, patience_ms=300) as clinician:
        yield clinician


@pytest.fixture
def target() -> Iterator[EmulatedTarget]:
    target = EmulatedTarget(PumpChoice(seed=3))
    target.start()
    yield target
    target.close()


def in_mid_bolus(target: EmulatedTarget) -> Programmer:
    """A clinician who has just started a bolus, and whose session is open."""
    clinician = Programmer(target.open_channel(), key=development_key(Role.CLINICIAN))
    clinician.connect()
    clinician.bolus(volume_nl=20_000, duration_s=3_600)
    target.rig.advance(100_003)
    return clinician


def state_of(rig: Any) -> tuple[Any, ...]:
    seen = rig.state()
    return seen.now_ms, seen.truth, seen.belief, seen.trace_hash


def test_a_pump_in_mid_bolus_goes_on_the_same_in_process_and_over_http(
    target: EmulatedTarget, served: RigClient
) -> None:
    in_mid_bolus(target)
    target.rig.snapshot("bolus")
    document = json.loads(json.dumps(target.rig.read_snapshot("bolus")))
    assert document["state"]
    served.put_snapshot("bolus", document)
    assert served.read_snapshot("bolus") == document, "what comes back is what was sent, to the bit"
    for _ in range(2):
        for rig in (target.rig, served):
            assert rig.restore("bolus", MEMORY_ID) == (document["pump_ms"], MEMORY_ID)
        assert state_of(served) == state_of(target.rig)
        for rig in (target.rig, served):
            rig.advance(2 * MS_PER_DAY + 7)
            rig.snapshot("later")
        assert state_of(served) == state_of(target.rig)
        assert served.read_snapshot("later") == target.rig.read_snapshot("later")


def test_the_bench_lists_what_it_keeps_and_its_clock_goes_on_from_the_pump(served: RigClient) -> None:
    first = served.snapshot("first")
    served.advance(MS_PER_HOUR)
    second = served.snapshot("second")
    assert served.snapshots() == (first, second)
    assert (first.profile, first.pump_ms, second.pump_ms) == ("implanted", 0, MS_PER_HOUR)
    served.restore("first")
    assert served.clock() == ("manual", 0, 0)
    assert served.advance(5) == 5
    served.forget("first")
    assert served.snapshots() == (second,)
    with pytest.raises(UsageError, match="there is no snapshot 'first'; there are: second"):
        served.restore("first")
    with pytest.raises(UsageError, match="name"):
        served.snapshot("no name")


def test_a_reader_of_events_is_told_that_the_pump_is_another(served: RigClient) -> None:
    served.snapshot("first")
    served.advance(MS_PER_DAY)
    mark = served.mark()
    with served.events(mark, wait_s=0.2) as events:
        served.restore("first", MEMORY_ID)
        told = next(iter(events))
    assert (told.kind, told.now_ms) == ("SnapshotRestored", 0)  # type: ignore[union-attr]
    assert told.fields == {  # type: ignore[union-attr]
        "name": "first",
        "left_at_ms": MS_PER_DAY,
        "memory_id": f"{MEMORY_ID:016x}",
    }
    assert served.trace(mark).events[0] == told


def test_time_that_runs_by_itself_goes_on_from_the_snapshot(served: RigClient) -> None:
    served.advance(MS_PER_HOUR)
    served.snapshot("hour")
    served.advance(30 * MS_PER_DAY)
    served.set_mode("real")
    served.restore("hour")
    assert MS_PER_HOUR <= served.clock().now_ms < 2 * MS_PER_HOUR
    assert served.clock().mode == "real"
    served.set_mode("manual")


@pytest.mark.parametrize("how", ["in process", "served"])
def test_what_is_damaged_or_of_another_version_is_refused_in_words(
    how: str, target: EmulatedTarget, served: RigClient
) -> None:
    rig = target.rig if how == "in process" else served
    rig.snapshot("good")
    good = rig.read_snapshot("good")
    for document, sentence in (
        (good | {"version": 2, "made_by": "9.9"}, "has version 2, made by pumpbench 9.9; this is"),
        (good | {"state": good["state"] | {"root": 5}}, "is damaged"),
        (good | {"serial": "EMU-2"}, "says that its serial is 'EMU-2', and holds a pump of"),
        (good | {"pump_ms": 5}, "says that its pump_ms is 5, and holds a pump of 0"),
        ({}, "is no document of the schema"),
    ):
        with pytest.raises(UsageError) as refused:
            rig.put_snapshot("bad", document)
        assert sentence in str(refused.value)
    assert [kept.name for kept in rig.snapshots()] == ["good"]


def test_the_one_body_that_may_be_long_is_a_snapshot(bench: ThreadBench) -> None:
    long = b'{"snapshot": "' + b"x" * BODY_MAX_BYTES + b'"}'
    assert bench.ask("PUT", "/v1/snapshots/x", long)[0] == 422
    assert bench.ask("PUT", "/v1/clock", long)[0] == 413
    assert bench.ask("POST", "/v1/snapshots/x/restore", long)[0] == 413
    status, answer = bench.ask(
        "PUT", "/v1/snapshots/x", None, {"Content-Length": str(SNAPSHOT_MAX_BYTES + 1)}
    )
    assert (status, answer["error"]) == (413, f"a request has {SNAPSHOT_MAX_BYTES} bytes at most")


@pytest.mark.parametrize("kept", ["before the bolus", "in mid-bolus"])
@pytest.mark.parametrize("answered", [True, False], ids=["answered", "unanswered"])
def test_a_client_of_before_is_never_told_that_its_bolus_was_not_given(
    line: FaultyLine, clinician: Programmer, served: RigClient, *, kept: str, answered: bool
) -> None:
    """The pump that gave it is no more: its session is over, its outcome not known, and the next bolus has to wait."""
    serial = clinician.info().serial
    if kept == "before the bolus":
        served.snapshot("kept")
    if answered:
        cmd_id = clinician.bolus(20_000, 3_600).cmd_id
    else:
        clinician.ledger.unknown()
        line.drop(Direction.FROM_PUMP, 500, skip=2)  # what is prepared is answered
        with pytest.raises(OutcomeUnknown) as lost:
            clinician.bolus(20_000, 3_600)
        cmd_id = lost.value.cmd_id
        line.clear()
    served.advance(100_003)
    given_nl_ppm = served.state().truth["emitted_nl_ppm"]
    if kept == "in mid-bolus":
        served.snapshot("kept")
    served.advance(MS_PER_HOUR)
    assert served.state().truth["emitted_nl_ppm"] > given_nl_ppm
    memory_id = served.restore("kept").memory_id

    found = clinician.info()
    assert (found.serial, found.memory_id) == (serial, memory_id)
    known = "it had answered RUNNING" if answered else "its outcome is not known"
    for ask in (clinician.query, clinician.void):
        with pytest.raises(OutcomeUnknown, match=f"^BOLUS_COMMIT {cmd_id} was sent .* and {known};"):
            ask(cmd_id)
    if answered:
        assert any("how it ended cannot be found out" in notice for notice in clinician.notices)
    else:
        with pytest.raises(OutcomeUnknown, match="it may have been carried out; do not repeat it"):
            clinician.bolus(20_000, 3_600)
        assert [filed.cmd_id for filed in clinician.ledger.unknown()] == [cmd_id]


def test_a_fault_that_took_effect_before_the_bench_went_back_has_shown_something(
    target: EmulatedTarget,
) -> None:
    rig = WatchedRig(target.rig)
    rig.snapshot("before")
    rig.inject("motor-stall")
    rig.advance(MS_PER_DAY)
    assert rig.unfired() == ()
    rig.restore("before")
    rig.check_all_fired()
    rig.inject("occlusion", compliance_nl=100_000)
    rig.restore("before")
    assert rig.unfired() == ("occlusion",), "and one that had not has shown nothing"
