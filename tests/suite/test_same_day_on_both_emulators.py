"""One day with the same seeds gives the same bytes in process, in virtual time, and on a PTY under manual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from hil.outcome_store import OutcomeStore
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.process import ProcessTarget
from protocol.identifiers import Role, StopReason
from protocol.link.development_keys import development_key

if TYPE_CHECKING:
    from hil.channel import Channel
    from hil.targets.target import Target

CHOICE = PumpChoice(seed=20260302, memory_id=0x5EED)
HOUR_MS = 3_600_000


class TappedChannel:
    """A channel that keeps every byte of both directions."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.sent = b""
        self.received = b""

    @property
    def sent_bytes(self) -> int:
        return self._channel.sent_bytes

    def send(self, data: bytes) -> None:
        self.sent += data
        self._channel.send(data)

    def receive(self, deadline_ms: int) -> bytes:
        data = self._channel.receive(deadline_ms)
        self.received += data
        return data

    def now_ms(self) -> int:
        return self._channel.now_ms()

    def device_ms(self) -> int | None:
        return self._channel.device_ms()

    def close(self) -> None:
        self._channel.close()


class Day(NamedTuple):
    """All that one day left behind."""

    sent: bytes
    received: bytes
    trace_hash: str
    now_ms: int
    reservoir_calc_nl: object
    true_nl_ppm: object
    log: list[str]


def one_day(target: Target) -> Day:
    """Status each hour, a bolus, a stop, a stall, a refill, and the log at the end."""
    target.start()
    channel = TappedChannel(target.open_channel())
    key = development_key(Role.CLINICIAN)
    programmer = Programmer(
        channel, key=key, store=OutcomeStore(None, key=key.key), entropy=SeededEntropy("one day")
    )
    rig = target.rig
    for hour in range(24):
        programmer.connect()
        programmer.status()
        if hour == 3:
            programmer.bolus(20_000, 600)
        if hour == 6:
            programmer.stop(3_600, reason=StopReason.MRI)
        if hour == 7:
            programmer.resume()
        if hour in {10, 12}:
            rig.stall(on=hour == 10)
        if hour == 20:
            programmer.refill(20_000_000, aspirated_nl=17_000_000)
        rig.advance(HOUR_MS)
    programmer.connect()
    log = [str(entry) for entry in programmer.read_log().entries]
    state = rig.state()
    assert state.belief is not None
    assert state.trace_hash is not None
    return Day(
        channel.sent,
        channel.received,
        state.trace_hash,
        state.now_ms,
        state.belief["reservoir_calc_nl"],
        state.truth["true_nl_ppm"],
        log,
    )


@pytest.mark.timeout(60)
def test_one_day_gives_the_same_bytes_in_process_and_on_a_pty() -> None:
    days = []
    for target in (EmulatedTarget(CHOICE), ProcessTarget(CHOICE)):
        try:
            days.append(one_day(target))
        finally:
            target.close()
    virtual, process = days
    assert virtual.now_ms == 24 * HOUR_MS
    assert len(virtual.log) > 20
    assert process.log == virtual.log
    assert process.sent == virtual.sent
    assert process.received == virtual.received
    assert process == virtual


def test_the_same_seed_gives_the_same_trace_twice_and_another_seed_another() -> None:
    hashes = []
    for seed in (1, 1, 2):
        target = EmulatedTarget(PumpChoice(seed=seed))
        try:
            hashes.append(one_day(target).trace_hash)
        finally:
            target.close()
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]
