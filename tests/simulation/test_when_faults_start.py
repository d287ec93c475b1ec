"""A fault starts when it was ordered to, lasts as long and comes as often, however time and bytes are cut."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.events import FaultCleared, FaultImpossible, FaultInjected, FaultOrdered
from firmware_emu.fault_orders import FaultOrders
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.faults.fault import Fault, Where, register_fault
from firmware_emu.faults.orders import At, Start, order_from_json, order_to_json
from firmware_emu.now import Now
from firmware_emu.profile import Implant
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import SEED, Conversation, memory_of, profile_of, state_of
from hil.campaign.life_faults import PROVOKED
from protocol.identifiers import AlarmId, StopReason
from protocol.messages.stop import Stop
from tests.simulation.stepping import alarm_ms, cuts, played
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.plant.plant import Plant

STROKE_MS = 72 * 1_000  # 0.6 mL a day in strokes of 500 nL
DAY_STEPS = 500


def talk_with(**model: Any) -> Conversation:
    return Conversation.with_new_pump(profile_of(implant=Implant(dose_ng_per_day=300_000), **model))


def moments_of(talk: Conversation, kind: type, fault: str) -> list[int]:
    return [now.pump_ms for now, event in talk.trace if isinstance(event, kind) and fault in repr(event)]


@pytest.mark.parametrize(
    ("start", "started_ms"),
    [
        (Start(after_ms=1), 1),
        (Start(after_ms=MS_PER_HOUR + 17), MS_PER_HOUR + 17),
        (Start(At.STROKE, count=5), 5 * STROKE_MS),
        (Start(At.WRITE, count=3), 3 * MS_PER_HOUR),
        (Start(At.TRUTH, field="strokes_turned", operator=">=", value=7), 7 * STROKE_MS),
        (Start(At.BELIEF, field="state", operator="==", value="RUN"), 0),
    ],
)
def test_a_fault_starts_to_the_millisecond(start: Start, started_ms: int) -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, start)
    talk.wait(0)
    assert talk.pump.truth().stalled == (started_ms == 0)
    talk.wait(3 * MS_PER_HOUR)
    assert moments_of(talk, FaultOrdered, "motor-stall") == [0]
    assert moments_of(talk, FaultInjected, "motor-stall") == [started_ms]
    assert talk.pump.truth().strokes_missed == (3 * MS_PER_HOUR) // STROKE_MS - started_ms // STROKE_MS


def test_a_fault_starts_behind_the_nth_event_of_a_kind() -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, for_ms=MS_PER_HOUR)
    talk.pump.inject("accuracy", {"accuracy_ppm": 900_000}, Start(At.ALARM, name="MOTOR_STALL"))
    talk.pump.inject("magnet", {}, Start(At.EVENT, count=2, name="LogWritten"))
    talk.wait(3 * MS_PER_HOUR)
    raised_ms = alarm_ms(talk.pump, AlarmId.MOTOR_STALL)
    assert moments_of(talk, FaultInjected, "accuracy") == [raised_ms]
    assert moments_of(talk, FaultInjected, "magnet") == [raised_ms]  # STALL and ALARM_ON are its two entries


def test_one_fault_can_follow_another() -> None:
    talk = talk_with()
    talk.pump.inject("accuracy", {"accuracy_ppm": 900_000}, Start(At.EVENT, name="FaultInjected"))
    talk.pump.inject("magnet", {}, Start(At.EVENT, name="FaultCleared"))
    talk.pump.inject("motor-stall", {}, Start(after_ms=10), for_ms=5)
    talk.wait(100)
    assert moments_of(talk, FaultInjected, "accuracy") == [10]
    assert moments_of(talk, FaultInjected, "magnet") == [15]


def test_a_fault_that_waits_for_another_which_a_rig_injects_starts_at_that_moment_and_not_with_the_next_event() -> (
    None
):
    talk = talk_with()
    talk.wait(10)
    talk.pump.inject("accuracy", {"accuracy_ppm": 900_000}, Start(At.EVENT, name="FaultInjected"))
    talk.wait(10)
    talk.pump.inject("magnet", {})
    talk.wait(10)
    assert moments_of(talk, FaultInjected, "accuracy") == [20]


def test_what_a_rig_did_before_its_next_order_starts_what_waited_for_it() -> None:
    talk = talk_with()
    talk.pump.inject("accuracy", {"accuracy_ppm": 900_000}, Start(At.EVENT, name="FaultInjected"))
    talk.pump.inject("magnet", {})
    talk.pump.inject("motor-stall", {}, Start(At.EVENT, name="FaultCleared"))
    talk.wait(10)
    assert moments_of(talk, FaultInjected, "accuracy") == [0]
    assert moments_of(talk, FaultInjected, "motor-stall") == []


def test_strokes_are_counted_from_the_order_on() -> None:
    talk = talk_with()
    talk.wait(10 * STROKE_MS + 1)
    talk.pump.inject("motor-stall", {}, Start(At.STROKE, count=5))
    talk.wait(MS_PER_HOUR)
    assert moments_of(talk, FaultInjected, "motor-stall") == [15 * STROKE_MS]


# FI 04
def test_three_stalls_in_three_days_are_one_order() -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, Start(after_ms=1), for_ms=MS_PER_HOUR, every_ms=MS_PER_DAY, times=3)
    talk.wait(5 * MS_PER_DAY)
    starts = moments_of(talk, FaultInjected, "motor-stall")
    assert starts == [1, 1 + MS_PER_DAY, 1 + 2 * MS_PER_DAY]
    assert moments_of(talk, FaultCleared, "motor-stall") == [at_ms + MS_PER_HOUR for at_ms in starts]
    assert [entry.type.name for entry in talk.log() if "STALL" in entry.type.name] == [
        "STALL",
        "STALL_RECOVERED",
    ] * 3
    assert not talk.pump.orders.by_fault, "an order that is over is none"


def test_what_comes_again_counts_anew() -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, Start(At.STROKE, count=4), for_ms=STROKE_MS, times=3)
    talk.wait(MS_PER_HOUR)
    assert moments_of(talk, FaultInjected, "motor-stall") == [n * STROKE_MS for n in (4, 8, 12)]
    assert talk.pump.truth().strokes_missed == 3


def test_a_fault_that_is_cleared_does_not_come_any_more() -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, Start(after_ms=10), every_ms=MS_PER_HOUR, for_ms=5, times=9)
    talk.wait(12)
    assert talk.pump.truth().stalled
    talk.pump.clear("motor-stall")
    talk.wait(MS_PER_DAY)
    assert moments_of(talk, FaultInjected, "motor-stall") == [10]


def test_a_lease_that_ends_calls_off_what_has_not_started() -> None:
    talk = talk_with()
    talk.pump.inject("motor-stall", {}, Start(after_ms=10))
    talk.pump.end_lease("a rig that died", ["motor-stall", "magnet"])
    talk.wait(MS_PER_HOUR)
    assert not talk.pump.truth().strokes_missed


def frames_of(data: bytes) -> Iterator[bytes]:
    """Each byte by itself."""
    return (data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_fault_starts_as_the_nth_frame_has_come_and_before_it_is_acted_on_however_bytes_are_cut(
    count: int,
) -> None:
    talk = talk_with()
    talk.open()
    frames = [talk.fork() for _ in range(2)]
    requests = b"\0" + b"".join(b"\x05no frame at all\0" for _ in range(2))
    for cut, each in enumerate(frames):
        each.pump.inject("motor-stall", {}, Start(At.FRAME, count=count))
        for piece in frames_of(requests) if cut else [requests]:
            each.pump.step(each.pump.now, piece)
        assert each.pump.truth().stalled == (count < 3), "empty frames are none, two are"
    assert state_of(frames[0].pump) == state_of(frames[1].pump)


def test_what_a_frame_asks_for_meets_the_fault_that_it_starts() -> None:
    talk = talk_with()
    talk.open()
    talk.pump.inject("power-cut-at-write", {"writes": 1, "stays_off": 0}, Start(At.FRAME))
    assert talk.ask(Stop(1, 3_600, StopReason.MRI)) is None
    assert talk.pump.plant.flash.cuts == 1


UNSEEN = (
    (Start(after_ms=1), {"times": 170, "every_ms": 61_003}),
    (Start(At.STROKE), {"times": 200}),
    (Start(At.BELIEF, field="strokes_commanded", operator=">", value=100), {"times": 90, "every_ms": 47_001}),
)


def live_with(name: str, talk: Conversation, look_every_ms: int | None = None) -> list[object]:
    """Let a fault come three times in three hours, and three frames, the first soon after it; returns what they wrote.

    `look_every_ms` None: nobody looks.
    """
    written: list[object] = []
    values = {key: some[-1] for key, some in PROVOKED[name].values.items() if some[-1] is not None}
    talk.pump.inject(name, values, Start(after_ms=90_500), times=3, every_ms=50 * MS_PER_MINUTE)
    for wait_ms in (95_000, MS_PER_HOUR, 2 * MS_PER_HOUR):
        end_ms = talk.now_ms + wait_ms
        while look_every_ms is not None and talk.now_ms < end_ms:
            talk.wait_until(min(end_ms, talk.now_ms + look_every_ms))
            talk.pump.belief()
        talk.wait_until(end_ms)
        written += talk.pump.step(talk.pump.now, b"\x05no frame at all\0").writes
    return written


@cache
def bolus_in_work() -> Conversation:
    talk = talk_with()
    talk.wait_until(10 * MS_PER_HOUR + 1_000)
    talk.start_bolus(1, 20_000, 2_400)
    return talk


def with_a_bolus_in_work() -> Conversation:
    return bolus_in_work().fork()


def assert_nothing_changes(name: str, start: Start, timing: dict[str, Any]) -> None:
    """That a fault does the same beside one that the pump cannot see, whenever that starts."""
    plain = with_a_bolus_in_work()
    ordered = plain.fork()
    ordered.pump.inject("catheter-leak", {"lost_ppm": 1_000_000}, start, **timing)
    for each in (plain, ordered):
        live_with(name, each)
    assert moments_of(ordered, FaultInjected, "catheter-leak"), "it did start"
    assert ordered.pump.belief() == plain.pump.belief()
    assert memory_of(ordered.pump) == memory_of(plain.pump)


@for_each("name", ["ram-flip", "stack-overflow", "stuck-page"])
def test_what_a_rig_ordered_lets_no_fault_be_found_sooner(name: str) -> None:
    assert_nothing_changes(name, *UNSEEN[0])


@for_each(
    ("start", "timing", "name"),
    [(*order, name) for order in UNSEEN for name in PROVOKED if name != "catheter-leak"],
    one_in=30,
)
def test_a_fault_that_the_pump_cannot_see_changes_nothing_that_another_does_to_it_whenever_it_starts(
    start: Start, timing: dict[str, Any], name: str
) -> None:
    assert_nothing_changes(name, start, timing)


@for_each("name", list(PROVOKED), one_in=12)
def test_a_look_from_outside_changes_nothing_that_a_fault_does(name: str) -> None:
    plain = with_a_bolus_in_work()
    looked_at = plain.fork()
    assert live_with(name, looked_at, look_every_ms=47_500) == live_with(name, plain)
    assert state_of(looked_at.pump) == state_of(plain.pump)
    assert trace_bytes(looked_at.trace) == trace_bytes(plain.trace)


STARTS = (
    Start(At.STROKE, count=11),
    Start(At.WRITE, count=3),
    Start(At.ALARM, name="MOTOR_STALL", cleared=True),
    Start(At.BELIEF, field="strokes_commanded", operator=">=", value=33),
    Start(after_ms=5_000_001),
)


@for_each("start", STARTS)
def test_how_time_is_cut_decides_nothing_of_when_a_fault_starts(start: Start) -> None:
    times = {} if start.at in (At.TIME, At.BELIEF) else {"times": 2}
    talks = []
    for seed in (None, 1, 2):
        talk = talk_with()
        talk.pump.inject("magnet", {}, Start(At.EVENT, name="FaultInjected"))
        talk.pump.inject("motor-stall", {}, start, for_ms=25 * MS_PER_MINUTE, **times)
        instants = [] if seed is None else cuts(seed, MS_PER_DAY, DAY_STEPS)
        talks.append(played(talk, (), MS_PER_DAY, instants))
    assert len({trace_bytes(talk.trace) for talk in talks}) == 1
    assert len({state_of(talk.pump) for talk in talks}) == 1


@for_each("start", STARTS)
def test_orders_go_on_from_an_image_and_in_a_fork(start: Start) -> None:
    talk = talk_with()
    talk.pump.inject(
        "motor-stall", {"duration_ms": 10}, start, for_ms=MS_PER_HOUR, every_ms=MS_PER_DAY, times=5
    )
    talk.wait(2 * MS_PER_HOUR)
    orders = talk.pump.orders.by_fault
    again = [order_from_json(json.loads(json.dumps(order_to_json(order)))) for order in orders.values()]
    assert {order.fault: order for order in again} == orders
    fork = talk.fork()
    fork.pump.orders = FaultOrders(again, fork.pump.plant.rotor.strokes_driven)
    for each in (talk, fork):
        each.wait(3 * MS_PER_DAY)
    assert state_of(talk.pump) == state_of(fork.pump)
    assert talk.pump.orders.by_fault == fork.pump.orders.by_fault


@pytest.mark.parametrize(
    ("start", "ordered", "complaint"),
    [
        (Start(At.STROKE, count=0), {}, "count must be a whole number from 1"),
        (Start(At.STROKE, after_ms=5), {}, "after_ms says nothing of stroke, of which count are said"),
        (Start(after_ms=-1), {}, "after_ms must be a whole number from 0"),
        (Start(At.EVENT, name="Bolus"), {}, "there is no event 'Bolus'; there are AlarmCleared"),
        (
            Start(At.EVENT, name="FrameSent"),
            {},
            "no fault waits for FrameSent; frames and writes are counted",
        ),
        (Start(At.ALARM, name="FLOOD"), {}, "there is no alarm 'FLOOD'; there are LOW_RESERVOIR"),
        (Start(At.TRUTH), {}, "no field was named; truth has now_ms"),
        (Start(At.TRUTH, field="mood"), {}, "truth has no field 'mood'; truth has now_ms"),
        (Start(At.BELIEF, field="state", operator="==", value="ASLEEP"), {}, "state of belief is one of RUN"),
        (Start(), {"for_ms": 0}, "for_ms must be a whole number from 1"),
        (Start(), {"times": 2}, "a fault that starts 2 times at time needs every_ms"),
        (Start(), {"every_ms": 5}, "every_ms says how long between two starts, and there is one"),
        (Start(), {"every_ms": 5, "times": 2, "for_ms": 5}, "for_ms, 5, must be less than every_ms, 5"),
    ],
)
def test_a_start_that_can_never_come_is_refused_with_what_there_is(
    start: Start, ordered: dict[str, int], complaint: str
) -> None:
    pump = talk_with().pump
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
        pump.inject("motor-stall", {}, start, **ordered)
    assert not pump.truth().stalled
    assert not pump.orders.by_fault


def test_a_fault_that_cannot_start_when_its_time_has_come_is_told_and_hurts_nobody() -> None:
    def burst(_plant: Plant, _now_ms: int, _values: dict[str, int | None]) -> None:
        raise ValueError("the reservoir is full")

    never = (lambda _plant, _now_ms: None), (lambda _plant: False), (lambda _plant: 0)
    register_fault(Fault("burst", Where.PLANT, "It bursts.", "nothing", burst, *never))
    try:
        pump = Pump.new(profile_of(), SEED)
        pump.inject("burst", {}, Start(after_ms=5))
        trace = pump.step(Now.both(10)).trace
        told = [event for _, event in trace if isinstance(event, FaultImpossible)]
        assert told == [FaultImpossible("burst", "the reservoir is full")]
        with pytest.raises(ValueError, match="the reservoir is full"):
            pump.inject("burst", {})
    finally:
        del FAULTS["burst"]
