"""Seven years of simple continuous infusion in virtual time, against a bare heapq loop with callbacks.

Hourly wake-ups, a refill every 30 days over the wire with a session of its own. The whole firmware runs:
strokes, accumulators, belief, log, memory commits.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.now import Now
from firmware_emu.profile import Profile
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from protocol.identifiers import RefillFlag
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from scripts.bench.client import Client
from scripts.bench.measure import NS_PER_MS, Row, interleaved

DAYS = 7 * 365
REFILL_DAYS = 30
FILL_NL = 20_000_000
NL_PER_DAY = 600_000
LOW_ALARM_NL = 1_000_000
CONCENTRATION_NG_PER_ML = 500_000
ROUNDS = 7


def rows() -> list[Row]:
    """The only row."""
    medians = interleaved({"heapq": heapq_years, "pump": pump_years}, rounds=ROUNDS)
    return [
        Row(
            f"{DAYS // 365} years, hourly wake-ups, refill every {REFILL_DAYS} days",
            "heapq, callbacks",
            medians["heapq"] / NS_PER_MS,
            medians["pump"] / NS_PER_MS,
            "ms",
            10,
        )
    ]


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


def pump_years() -> None:
    """The pump, asked to run every hour, refilled every 30 days."""
    pump = Pump.new(profile(), b"seven years")
    for hour in range(1, DAYS * 24 + 1):
        pump.step(Now.both(hour * MS_PER_HOUR))
        if hour % (REFILL_DAYS * 24) == 0:
            refill(pump)
    belief = pump.belief()
    if belief is None or belief.delivered_total_nl != DAYS * NL_PER_DAY:
        raise RuntimeError(f"this was not seven years of therapy: {belief}")


def profile() -> Profile:
    """A pump at work, filled so that it lasts from refill to refill without an alarm."""
    implanted = load_profile("implanted")
    assert implanted.implant is not None
    return replace(
        implanted,
        model=replace(implanted.model, low_reservoir_alarm_nl=LOW_ALARM_NL),
        implant=replace(implanted.implant, filled_nl=FILL_NL),
    )


def refill(pump: Pump) -> None:
    """A clinician's session: look, refill, leave."""
    received = bytearray()

    def send(data: bytes) -> None:
        received.extend(pump.step(pump.now, data).to_send)

    def receive() -> bytes:
        if not received:
            raise RuntimeError("the pump does not answer")
        data = bytes(received)
        received.clear()
        return data

    client = Client(send, receive, lambda: pump.now_ms)
    client.open()
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
