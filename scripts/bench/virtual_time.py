"""Seven years of therapy in virtual time against a bare heapq loop with callbacks, and a fork of a pump.

Simple infusion, and a flexible program with a bolus that the patient asks for each week; called each hour, and from one
visit to the next at once. Refills every 30 days and the patient's requests come over the wire, in sessions of their
own. The whole firmware runs: strokes, accumulators, belief, log, memory commits.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.now import Now
from firmware_emu.profile import Profile
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from protocol.identifiers import DenyReason, InfusionMode, ProgramFlag, RefillFlag, Role
from protocol.messages.bolus import PatientBolus
from protocol.messages.conversation import EndSession
from protocol.messages.program import (
    Group,
    PatientBlock,
    ProgBegin,
    ProgCommit,
    ProgramHeader,
    ProgVerify,
    ProgWrite,
    Segment,
    padded_groups,
)
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from scripts.bench.client import Client
from scripts.bench.measure import NS_PER_MS, NS_PER_US, Row, interleaved

DAYS = 7 * 365
REFILL_DAYS = 30
FILL_NL = 20_000_000
NL_PER_DAY = 600_000
LOW_ALARM_NL = 1_000_000
CONCENTRATION_NG_PER_ML = 500_000
STROKE_NL = 500
EVERY_DAY = 0x7F
PATIENT = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=4)
ROUNDS = 7


class Course(NamedTuple):
    """Seven years of one program, and how often the pump is called."""

    name: str
    start: Callable[[], Pump]
    asks_every_days: int
    """How often the patient asks for a bolus; 0 never."""
    step_hours: int
    goal: float


def rows() -> list[Row]:
    """A row for each course, and one for a fork."""
    subjects = {course.name: partial(years, course) for course in COURSES}
    medians = interleaved({"heapq": heapq_years, **subjects}, rounds=ROUNDS)
    floor_ms = medians["heapq"] / NS_PER_MS
    return [
        *(
            Row(
                course.name, "heapq, callbacks", floor_ms, medians[course.name] / NS_PER_MS, "ms", course.goal
            )
            for course in COURSES
        ),
        _fork_row(),
    ]


def _fork_row() -> Row:
    pump = simple()
    pump.step(Now.both(MS_PER_DAY))
    medians = interleaved(
        {"deepcopy": lambda: copy.deepcopy(pump), "fork": pump.fork}, rounds=ROUNDS, calls=50
    )
    us = {name: taken / NS_PER_US for name, taken in medians.items()}
    return Row("fork a pump", "deepcopy", us["deepcopy"], us["fork"], "us", 0.28, 100)


def heapq_years() -> None:
    """The same number of events with nothing in them but a sum."""
    queue: list[tuple[int, int, Callable[[int], None]]] = []
    delivered = 0
    number = 0

    def at(when: int, callback: Callable[[int], None]) -> None:
        nonlocal number
        number += 1
        heapq.heappush(queue, (when, number, callback))

    def hour(now: int) -> None:
        nonlocal delivered
        delivered += 25_000
        at(now + MS_PER_HOUR, hour)

    def refill(now: int) -> None:
        nonlocal delivered
        delivered = 0
        at(now + REFILL_DAYS * MS_PER_DAY, refill)

    at(MS_PER_HOUR, hour)
    at(REFILL_DAYS * MS_PER_DAY, refill)
    end = DAYS * MS_PER_DAY
    while queue[0][0] <= end:
        now, _, callback = heapq.heappop(queue)
        callback(now)


def years(course: Course) -> None:
    """The pump, called as often as the course says, and for each visit."""
    pump = course.start()
    visits = {day * 24 for day in range(REFILL_DAYS, DAYS + 1, REFILL_DAYS)}
    asks = (
        {day * 24 + 12 for day in range(1, DAYS, course.asks_every_days)} if course.asks_every_days else set()
    )
    calls = {*range(course.step_hours, DAYS * 24 + 1, course.step_hours), DAYS * 24}
    for hour in sorted(calls | visits | asks):
        pump.step(Now.both(hour * MS_PER_HOUR))
        if hour in visits:
            refill(pump)
        if hour in asks:
            ask_for_bolus(pump)
    belief = pump.belief()
    expected_nl = DAYS * NL_PER_DAY + len(asks) * PATIENT.volume_nl
    if belief is None or not 0 <= expected_nl - belief.delivered_total_nl < STROKE_NL:
        raise RuntimeError(f"this was not seven years of therapy: {belief}, and {expected_nl} nL were due")


def simple() -> Pump:
    """A pump that runs 0.6 mL a day."""
    return Pump.new(profile(), b"seven years")


def flexible() -> Pump:
    """A pump that runs 0.6 mL a day, half of it in the eight hours from 8 to 16 o'clock, and patient boluses."""
    pump = simple()
    night, day = NL_PER_DAY * 3 // 4, NL_PER_DAY * 3 // 2
    segments = (Segment(0, night), Segment(8 * 60, day), Segment(16 * 60, night))
    group = Group(EVERY_DAY, len(segments), NL_PER_DAY // 2)
    header = ProgramHeader(
        InfusionMode.FLEX,
        1,
        len(segments),
        ProgramFlag.PATIENT,
        1,
        CONCENTRATION_NG_PER_ML,
        patient=PATIENT,
        groups=padded_groups([group]),
    )
    with visit(pump, Role.CLINICIAN) as client:
        status = client.ask(GetStatus())
        client.ask(ProgBegin(status.program_rev, header))
        client.ask(ProgWrite(0, segments))
        verified = client.ask(ProgVerify())
        client.ask(ProgCommit(status.last_cmd_id + 1, status.program_rev, verified.staged_crc, start=True))
    return pump


def ask_for_bolus(pump: Pump) -> None:
    """A patient's session: look, ask, leave."""
    with visit(pump, Role.PATIENT) as client:
        reply = client.ask(PatientBolus(client.ask(GetStatus()).last_cmd_id + 1))
    if reply.deny is not DenyReason.GRANTED:
        raise RuntimeError(f"the patient's bolus was not granted: {reply}")


def profile() -> Profile:
    """A pump at work, filled so that it lasts from refill to refill without an alarm."""
    implanted = load_profile("implanted")
    assert implanted.implant is not None
    return replace(
        implanted,
        model=replace(implanted.model, low_reservoir_alarm_nl=LOW_ALARM_NL),
        implant=replace(implanted.implant, filled_nl=FILL_NL),
    )


@contextmanager
def visit(pump: Pump, role: Role) -> Iterator[Client]:
    """A session with the pump."""
    received = bytearray()

    def send(data: bytes) -> None:
        received.extend(pump.step(pump.now, data).to_send)

    def receive() -> bytes:
        if not received:
            raise RuntimeError("the pump does not answer")
        data = bytes(received)
        received.clear()
        return data

    client = Client(send, receive, lambda: pump.now_ms, role)
    client.open()
    yield client
    client.ask(EndSession())


def refill(pump: Pump) -> None:
    """A clinician's session: look, refill, leave."""
    with visit(pump, Role.CLINICIAN) as client:
        status = client.ask(GetStatus())
        client.ask(
            Refill(
                cmd_id=status.last_cmd_id + 1,
                aspirated_nl=status.reservoir_calc_nl,
                filled_nl=FILL_NL,
                drug_id=1,
                flags=RefillFlag(0),
                concentration_ng_per_ml=CONCENTRATION_NG_PER_ML,
                low_alarm_nl=LOW_ALARM_NL,
            )
        )


COURSES = tuple(
    Course(f"{DAYS // 365} years of {name}, called {often}", start, asks_every_days, step_hours, goal)
    for name, start, asks_every_days in (("simple", simple, 0), ("flex with patient boluses", flexible, 7))
    for often, step_hours, goal in (("hourly", 1, 25), ("once a visit", DAYS * 24, 17))
)
