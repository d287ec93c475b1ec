"""The story of a life in words: what was asked of the pump and what it answered, what broke, when power went.

It is made of what really passed, and told only when somebody wants to read it: a life by the thousand costs no words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.faults.orders import NOW, At, Start
from firmware_emu.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_S
from hil.campaign.deed import Event
from hil.quantity_words import (
    WALL_EPOCH,
    counted,
    duration,
    exact_duration_of_ms,
    mcg_per_day,
    mcg_per_ml,
    ml,
    ml_per_day,
)
from protocol.codec.field_words import bare_name_and_unit
from protocol.identifiers import ProgramFlag
from protocol.messages.alarms import AlarmAck, AlarmTest
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, PatientBolus, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import VoidCmd
from protocol.messages.program import ProgBegin, ProgCommit, ProgramHeader, ProgVerify, ProgWrite
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Asked(NamedTuple):
    """A request to the pump, and its answer; None: it gave none."""

    message: Any
    answer: Any


class Caused(NamedTuple):
    """A fault that was caused or ordered."""

    name: str
    parameters: Mapping[str, int]
    start: Start = NOW
    for_ms: int | None = None
    times: int = 1
    every_ms: int | None = None


Thing = str | Asked | Caused


class Story:
    """All that was done in a life so far, in its order."""

    def __init__(self) -> None:
        self._things: list[tuple[int, int, Thing]] = []

    def add(self, at_ms: int, number: int, thing: Thing) -> None:
        """Keep what was done at this time of the pump, in the deed of this number."""
        self._things.append((at_ms, number, thing))

    def fork(self) -> Story:
        """A story that has begun as this one did."""
        other = Story()
        other._things = [*self._things]
        return other

    def events(self) -> tuple[Event, ...]:
        """The story in words."""
        told = []
        header: ProgramHeader | None = None
        for at_ms, number, thing in self._things:
            if isinstance(thing, Asked) and isinstance(thing.message, ProgBegin):
                header = thing.message.header
            words = _words(thing, header)
            if words:
                told.append(Event(at_ms, words, number))
        return tuple(told)


def moment(at_ms: int) -> str:
    """A time of the pump's life: day 3, 14:02, with seconds and ms where they are not 0."""
    days, in_day_ms = divmod(at_ms, MS_PER_DAY)
    minutes, ms = divmod(in_day_ms, MS_PER_MINUTE)
    exact = "" if not ms else f":{ms // MS_PER_S:02}" + (f".{ms % MS_PER_S:03}" if ms % MS_PER_S else "")
    return f"day {days}, {minutes // 60:02}:{minutes % 60:02}{exact}"


def _words(thing: Thing, header: ProgramHeader | None) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, Caused):
        return _fault_words(thing)
    message, answer = thing
    if isinstance(message, ProgCommit):
        said = "no program" if header is None else _program_words(header)
        said += " started" if message.start else " written and not started"
    elif type(message) in SILENT_WHEN_GRANTED:
        wanted, words = SILENT_WHEN_GRANTED[type(message)]
        if answer is not None and not isinstance(answer, ErrorReply):
            refusals = getattr(answer, "refusals", ())
            return f"{wanted}: cannot be ({refusals[0].code.name})" if refusals else ""
        said = words(message)
    elif type(message) in WORDS:
        said = WORDS[type(message)](message)
    else:
        return ""  # it changes nothing
    return f"{said}: {_answer_words(answer)}"


def _answer_words(answer: Any) -> str:
    if answer is None:
        return "no answer"
    if isinstance(answer, ErrorReply):
        return f"refused ({answer.code.name})"
    deny = getattr(answer, "deny", None)
    return "done" if deny is None else deny.name


def _bolus(message: Any) -> str:
    return f"{ml(message.volume_nl)} over {duration(message.duration_s)}"


def _program_words(header: ProgramHeader) -> str:
    """What a program gives, as far as one sentence goes."""
    groups = header.groups[: header.n_groups]
    doses = " and ".join(mcg_per_day(group.dose_ng_per_day) for group in groups)
    parts = [
        f"program of {doses}, {header.n_segments} rates" if header.n_segments > 1 else f"program of {doses}"
    ]
    if header.drug_id != 1:
        parts.append(f"drug {header.drug_id}")
    if header.flags & ProgramFlag.BRIDGE:
        parts.append(
            f"a bridge of {ml(header.bridge.volume_nl)} at {ml_per_day(header.bridge.rate_nl_per_day)}"
        )
    if header.flags & ProgramFlag.PATIENT:
        parts.append(f"boluses for the patient of {_bolus(header.patient)}")
    if header.flags & ProgramFlag.PERIODIC:
        parts.append(f"{_bolus(header.periodic)} each {duration(header.periodic.interval_s)}")
    return ", ".join(parts)


def _refill_words(message: Refill) -> str:
    drug = "" if message.drug_id == 1 else f" of drug {message.drug_id}"
    strength = mcg_per_ml(message.concentration_ng_per_ml)
    return f"refill: {ml(message.aspirated_nl)} out, {ml(message.filled_nl)}{drug} of {strength} in"


def _clock_words(message: TimeSet) -> str:
    wall = f"{WALL_EPOCH + timedelta(seconds=message.wall_s):%Y-%m-%d %H:%M}"
    return f"clock set to {wall} UTC" + ("" if message.confirm else ", not confirmed")


WORDS: Final[dict[type, Callable[[Any], str]]] = {
    BolusCommit: lambda message: f"bolus {message.cmd_id} of {_bolus(message)}",
    Prime: lambda message: f"prime {message.cmd_id} of {_bolus(message)}",
    BolusCancel: lambda _: "whatever bolus flows cancelled",
    PatientBolus: lambda _: "patient bolus asked for",
    Stop: lambda message: f"stop for {duration(message.max_stop_s)}, then {message.on_expiry.name}",
    Resume: lambda message: f"resume of program revision {message.program_rev}",
    Refill: _refill_words,
    TimeSet: _clock_words,
    VoidCmd: lambda message: f"number {message.cmd_id} made void",
    AlarmTest: lambda message: f"test tone {message.alarm_class.name}",
    AlarmAck: lambda message: f"alarm {message.alarm_id.name} acknowledged",
}
"""Requests that change something, in words."""
SILENT_WHEN_GRANTED: Final[dict[type, tuple[str, Callable[[Any], str]]]] = {
    BolusPrepare: ("bolus", lambda message: f"{message.kind.name.lower()} of {_bolus(message)} asked for"),
    ProgBegin: (
        "program",
        lambda message: f"{_program_words(message.header)} begun on revision {message.base_rev}",
    ),
    ProgWrite: ("program", lambda _: "rates of the program written"),
    ProgVerify: ("program", lambda _: "the program verified"),
}
"""Those that lead to one of these, and are told where they lead nowhere: what is wanted, and the request in words."""


def _fault_words(fault: Caused) -> str:
    values = ", ".join(_value_words(name, value) for name, value in fault.parameters.items())
    said = f"fault {fault.name}" + (f" ({values})" if values else "")
    said += _start_words(fault.start)
    if fault.for_ms is not None:
        said += f" for {exact_duration_of_ms(fault.for_ms)}"
    if fault.times > 1:
        said += f", {fault.times} times"
        said += "" if fault.every_ms is None else f", one each {exact_duration_of_ms(fault.every_ms)}"
    return said


def _value_words(name: str, value: int) -> str:
    bare, unit = bare_name_and_unit(name)
    return (
        f"{bare} {exact_duration_of_ms(value)}"
        if unit == "ms" and value >= 0
        else f"{bare} {value} {unit}".rstrip()
    )


def _start_words(start: Start) -> str:
    match start.at:
        case At.TIME:
            return "" if not start.after_ms else f", in {exact_duration_of_ms(start.after_ms)}"
        case At.TRUTH | At.BELIEF:
            return f", once {start.field} {start.operator} {start.value}"
        case At.EVENT | At.ALARM:
            ends = " ends" if start.cleared else ""
            nth = "" if start.count == 1 else f", the {start.count}th time"
            return f", at {start.at} {start.name}{ends}{nth}"
        case _:
            return f", after {counted(start.count, str(start.at))}"


def lines(events: tuple[Event, ...]) -> list[str]:
    """A line for each moment of a deed: `day 3, 14:02  fault magnet for 40 min; patient bolus asked for: GRANTED`."""
    told: list[tuple[int, int, list[str]]] = []
    for at_ms, deed, number in events:
        if told and told[-1][:2] == (at_ms, number):
            told[-1][2].append(deed)
        else:
            told.append((at_ms, number, [deed]))
    return [f"{moment(at_ms)}  {'; '.join(deeds)}" for at_ms, _, deeds in told]
