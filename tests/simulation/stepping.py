"""Courses of events, and time cut into pieces in many ways: what must not make a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from firmware_emu.controller.events import AlarmCleared, AlarmRaised
from hil.campaign.conversation import Conversation
from protocol.identifiers import AlarmId
from protocol.log.data import AlarmOnData
from protocol.log.types import LogName

if TYPE_CHECKING:
    from firmware_emu.events import Event, TraceEntry
    from firmware_emu.pump import Pump

Act = Callable[[Conversation], object]
Story = Sequence[tuple[int, Act]]


def alarms_in(trace: Iterable[TraceEntry]) -> list[tuple[int, type[Event]]]:
    """When alarms began and ended, by the trace."""
    return [
        (now.pump_ms, type(event)) for now, event in trace if isinstance(event, AlarmRaised | AlarmCleared)
    ]


def alarm_ms(pump: Pump, alarm_id: AlarmId) -> int:
    """When an alarm last began, by the pump's own log."""
    talk = Conversation(pump.fork())
    found = [
        entry.t_mono_s * 1_000 + entry.t_ms
        for entry in talk.log(LogName.MAIN)
        if isinstance(entry.details(), AlarmOnData) and entry.details().alarm_id is alarm_id
    ]
    return found[-1]


def around(events_ms: Iterable[int]) -> set[int]:
    """One millisecond before, at and after each."""
    return {ms + beside for ms in events_ms for beside in (-1, 0, 1) if ms + beside > 0}


def cuts(seed: int, end_ms: int, count: int, events_ms: Iterable[int] = ()) -> list[int]:
    """`count` instants at random up to the end, and those around all events, in order."""
    random = Random(seed)
    instants = {random.randrange(1, end_ms) for _ in range(count)} | around(events_ms)
    return sorted(ms for ms in instants if ms < end_ms)


def played(talk: Conversation, story: Story, end_ms: int, cuts_ms: Sequence[int] = ()) -> Conversation:
    """Let a story happen, time cut at these instants too."""
    acts = list(story)
    for ms in [*cuts_ms, end_ms]:
        while acts and acts[0][0] <= ms:
            at_ms, act = acts.pop(0)
            talk.wait_until(at_ms)
            act(talk)
        if ms > talk.now_ms:
            talk.wait_until(ms)
    return talk
