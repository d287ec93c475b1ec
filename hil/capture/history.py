"""What a recording tells of a pump, as facts that point at each other: requests, entries of its log, alarms, events.

A fact is known from the mark of an emulated pump's own world, from what the pump told on the line, or from both. Facts
are kept apart by memory: where another pump is recorded, or its log begins anew, numbers of entries begin anew too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING, Any, Final

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage
from hil.frame_words import fields_text, opcode_name
from protocol.capture.pcapng import Damage
from protocol.capture.recording import EVENT, Beginning
from protocol.codec.atoms import Malformed
from protocol.identifiers import AlarmId, Handshake, Kind, StateChanged
from protocol.log.entry import CorruptEntry, LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import GetAlarmsReply
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.messages.log import LogReadReply
from protocol.messages.reading import GetInfoReply, GetStatusReply
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from hil.capture.messages import Read
    from protocol.messages.alarms import AlarmRow

SECURITY_RANGE: Final = 0x08
"""First byte of the types of entry that stand in the security log [SPEC 8]."""
ONE_RECORDING: Final = frozenset({"file"})
"""What differs between the heads of files that are parts of one recording."""


class FactKind(StrEnum):
    """What a fact is."""

    REQUEST = "request"
    LOG_ENTRY = "log entry"
    ALARM = "alarm"
    STATUS = "status"
    FAULT = "fault"
    EVENT = "event"


@dataclass(eq=False)
class Fact:
    """One thing that was so.

    `number` is the packet in which it is first seen, `since_ns` its time on the line. `pump_ms` is the time of the
    pump's world when it happened, as marks tell it; `running_ms` the pump's own running time, as its log tells it. Each
    is None where the recording does not say. `read_in` is the packet that told an entry of the log on the line, None
    where none did. `cmd_id` 0: it belongs to no command.
    """

    kind: FactKind
    name: str
    number: int
    since_ns: int | None
    memory: int
    pump_ms: int | None = None
    running_ms: int | None = None
    log: LogName | None = None
    seq: int | None = None
    actor: int | None = None
    cmd_id: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    marked: bool = False
    """Whether a mark tells it: then `number` is where it happened, and not where it was told."""
    read_in: int | None = None
    role: int | None = None
    key_id: int | None = None
    """Of a request, who opened its session; None where its handshake is not in the recording."""
    sid: int = 0
    answered_in: int | None = None
    answer: Any = None
    refused: bool = False
    """Of a request: the pump said that it changed nothing."""
    at: int = 0
    """Its place among all facts."""
    after: int = 0
    """Of a state: the place of the first fact since the pump told its state before."""
    before_ms: int | None = None
    """Of a state: the pump's running time when it told the one before; None where it did not."""


@dataclass
class History:
    """All facts of a recording, in the order in which it shows them."""

    facts: list[Fact] = field(default_factory=list)
    sealed: int = 0
    """Frames that no key opened: what they said is in none of the facts."""
    damage: int = 0
    """Places of the file that cannot be read."""
    with_truth: frozenset[int] = frozenset()
    """The memories of which marks tell what happened in the pump's world."""

    by_kind: dict[tuple[FactKind, int | None], list[Fact]] = field(default_factory=dict)

    by_name: dict[str, list[Fact]] = field(default_factory=dict)
    requests_by_command: dict[tuple[int, int], list[Fact]] = field(default_factory=dict)
    """By memory and number of the command."""

    def add(self, fact: Fact) -> None:
        """Keep one more."""
        fact.at = len(self.facts)
        self.facts.append(fact)
        self.by_name.setdefault(fact.name, []).append(fact)
        if fact.kind is FactKind.REQUEST:
            self.requests_by_command.setdefault((fact.memory, fact.cmd_id), []).append(fact)
        for memory in (None, fact.memory):
            self.by_kind.setdefault((fact.kind, memory), []).append(fact)

    def of(self, kind: FactKind, memory: int | None = None) -> list[Fact]:
        """The facts of a kind; of one memory, or of all."""
        return self.by_kind.get((kind, memory), [])


def read_history(entries: Iterable[Read], opcodes: Container[str]) -> History:
    """The facts of a recording; of its requests those of these opcodes, and of states those that are not as before."""
    reader = _Reader(opcodes)
    for entry in entries:
        reader.take(entry)
    reader.history.with_truth = frozenset(reader.with_truth)
    return reader.history


def log_of(log_type: LogType) -> LogName:
    """The log in which entries of a type stand [SPEC 8]."""
    return LogName.SECURITY if log_type >> 8 == SECURITY_RANGE else LogName.MAIN


class _Reader:
    """Makes facts of what it is given, one after another."""

    def __init__(self, opcodes: Container[str]) -> None:
        self.history = History()
        self.with_truth: set[int] = set()
        self._opcodes = opcodes
        self._told: Mapping[str, str] | None = None
        self._memory = 0
        self._forget_pump()

    def take(self, entry: Read) -> None:
        match entry:
            case Damage():
                self.history.damage += 1
            case Beginning():
                self._begin(entry)
            case NumberedMark():
                self._take_mark(entry)
            case RecordedMessage():
                self.history.sealed += entry.state is FrameState.SEALED
                if entry.message is not None and isinstance(entry.frame, Frame):
                    self._take_message(entry, entry.frame, entry.message)

    def _forget_pump(self) -> None:
        self._entries: dict[tuple[LogName, int], Fact] = {}
        self._alarms: dict[tuple[str, int], Fact] = {}
        self._requests: dict[int, Fact] = {}
        self._repeated: dict[tuple[int, int], Fact] = {}
        self._sessions: dict[int, tuple[int, int]] = {}
        self._hello: ClientHello | None = None
        self._memory_id: object = None
        self._epochs: dict[LogName, int] = {}
        self._state = ""
        self._told_at: tuple[int, int | None] = (len(self.history.facts), None)

    def _another_memory(self) -> None:
        self._memory += 1
        self._forget_pump()

    def _begin(self, beginning: Beginning) -> None:
        told = {name: value for name, value in beginning.told.items() if name not in ONE_RECORDING}
        if self._told is not None and told != self._told:
            self._another_memory()
        self._told = told

    def _add(self, fact: Fact) -> Fact:
        self.history.add(fact)
        return fact

    # what the pump's world told

    def _take_mark(self, entry: NumberedMark) -> None:
        if entry.mark.kind != EVENT:
            return
        try:
            event = json.loads(entry.mark.text)
            kind, now_ms, fields = str(event["kind"]), int(event["now_ms"]), dict(event["fields"])
            text = str(event["text"])
            taken = {
                "LogWritten": self._mark_of_entry,
                "AlarmRaised": self._mark_of_alarm,
                "FaultInjected": self._mark_of_fault,
            }.get(kind, self._mark_of_event)
            if kind == "PowerOn" and fields["first"] and self._entries:
                self._another_memory()
            fact = Fact(
                FactKind.EVENT, kind, entry.number, entry.since_ns, self._memory, pump_ms=now_ms, marked=True
            )
            fact.fields, fact.text = fields, text
            taken(fact)
        except (ValueError, KeyError, TypeError):
            return  # a mark of somebody else, who calls it an event
        self.with_truth.add(self._memory)

    def _mark_of_event(self, fact: Fact) -> None:
        self._add(fact)

    def _mark_of_fault(self, fact: Fact) -> None:
        fact.kind, fact.name = FactKind.FAULT, fact.fields["name"]
        self._add(fact)

    def _mark_of_alarm(self, fact: Fact) -> None:
        alarm_id, seq = AlarmId[fact.fields["alarm_id"]], int(fact.fields["log_seq"])
        fact.kind, fact.name, fact.log, fact.seq = FactKind.ALARM, alarm_id.name, LogName.MAIN, seq
        self._alarms.setdefault((alarm_id.name, seq), fact)
        self._add(fact)

    def _mark_of_entry(self, fact: Fact) -> None:
        fields = fact.fields
        log_type = LogType[fields["log_type"]]
        fact.kind, fact.name, fact.log = FactKind.LOG_ENTRY, log_type.name, log_of(log_type)
        fact.seq, fact.actor, fact.cmd_id = int(fields["seq"]), int(fields["actor"]), int(fields["cmd_id"])
        fact.fields = dict(fields["data"])
        known = self._entries.get((fact.log, fact.seq))
        if known is not None and (known.name, known.cmd_id) != (fact.name, fact.cmd_id):
            self._another_memory()
            fact.memory = self._memory
        self._entries[fact.log, fact.seq] = fact
        self._add(fact)

    # what was said on the line

    def _take_message(self, entry: RecordedMessage, frame: Frame, message: tuple[object, ...]) -> None:
        match message:
            case ClientHello():
                self._hello = message
            case PumpHello() if self._hello is not None and frame.opcode == Handshake.PUMP_HELLO:
                self._sessions[message.sid] = (self._hello.role, self._hello.key_id)
            case GetInfoReply():
                self._identify(message)
        if frame.kind == Kind.REQUEST:
            self._take_request(entry, frame, message)
        elif frame.kind in (Kind.RESPONSE, Kind.ERROR):
            self._take_answer(entry, message)

    def _identify(self, info: GetInfoReply) -> None:
        if self._memory_id not in (None, info.memory_id):
            hello, sessions, requests = self._hello, self._sessions, self._requests
            self._another_memory()
            self._hello, self._sessions, self._requests = hello, sessions, requests
        self._memory_id = info.memory_id

    def _take_request(self, entry: RecordedMessage, frame: Frame, message: tuple[object, ...]) -> None:
        if opcode_name(frame) not in self._opcodes or (frame.sid, frame.ctr) in self._repeated:
            return  # nobody asks for it, or it was sent again as the first time
        role, key_id = self._sessions.get(frame.sid, (None, None))
        fact = self._said(entry, FactKind.REQUEST, opcode_name(frame), message)
        fact.role, fact.key_id, fact.sid = role, key_id, frame.sid
        fact.cmd_id = int(getattr(message, "cmd_id", 0))
        self._requests[entry.number] = self._repeated[frame.sid, frame.ctr] = self._add(fact)

    def _said(self, entry: RecordedMessage, kind: FactKind, name: str, message: tuple[object, ...]) -> Fact:
        fact = Fact(kind, name, entry.number, entry.since_ns, self._memory, pump_ms=entry.passed.pump_ms)
        fact.fields = message._asdict() if hasattr(message, "_asdict") else {}
        fact.text = f"{name} {fields_text(message)}".rstrip()
        return fact

    def _take_answer(self, entry: RecordedMessage, message: tuple[object, ...]) -> None:
        request = None if entry.answers is None else self._requests.get(entry.answers)
        if request is not None and request.answered_in is None:
            request.answered_in, request.answer = entry.number, message
            request.refused = isinstance(message, ErrorReply) and message.state_changed == StateChanged.NO
        match message:
            case LogReadReply():
                self._take_page(entry, message)
            case GetAlarmsReply():
                for alarm in message.alarms:
                    self._take_listed(entry, alarm)
            case GetStatusReply():
                self._take_status(entry, message)

    def _take_status(self, entry: RecordedMessage, status: GetStatusReply) -> None:
        running_ms, state = status.t_mono_s * 1_000, status.state.name
        if state != self._state:
            fact = self._said(entry, FactKind.STATUS, state, status)
            fact.running_ms, (fact.after, fact.before_ms) = running_ms, self._told_at
            fact.fields = plain(fact.fields)
            fact.text = f"{state}, reason {status.state_reason.name}"
            self._add(fact)
        self._state, self._told_at = state, (len(self.history.facts), running_ms)

    def _take_listed(self, entry: RecordedMessage, alarm: AlarmRow) -> None:
        name = alarm.alarm_id.name
        if (name, alarm.on_seq) in self._alarms:
            return
        fact = Fact(FactKind.ALARM, name, entry.number, entry.since_ns, self._memory)
        fact.running_ms, fact.fields = alarm.on_t_mono_s * 1_000, alarm._asdict()
        fact.log, fact.seq, fact.text = LogName.MAIN, alarm.on_seq, fields_text(alarm)
        self._alarms[name, alarm.on_seq] = self._add(fact)

    def _take_page(self, entry: RecordedMessage, page: LogReadReply) -> None:
        if self._epochs.get(page.log, page.epoch) != page.epoch:
            self._another_memory()
        self._epochs[page.log] = page.epoch
        for raw in page.entries:
            try:
                self._take_entry(entry, page.log, LogEntry.unpack(raw))
            except (CorruptEntry, Malformed):
                continue

    def _take_entry(self, page: RecordedMessage, log: LogName, entry: LogEntry) -> None:
        try:
            details = entry.details()._asdict()
        except (Malformed, KeyError):
            details = {}
        known = self._entries.get((log, entry.seq))
        if known is not None and (known.name, known.cmd_id) != (entry.type.name, entry.cmd_id):
            self._another_memory()
            known = None
        if known is None:
            known = Fact(FactKind.LOG_ENTRY, entry.type.name, page.number, page.since_ns, self._memory)
            known.log, known.seq, known.fields = log, entry.seq, plain(details)
            known.actor, known.cmd_id = entry.actor, entry.cmd_id
            self._entries[log, entry.seq] = self._add(known)
            said = ", ".join(f"{name} {value}" for name, value in known.fields.items())
            known.text = f"{entry.type.name}: {said}".rstrip(": ")
        known.running_ms = entry.t_mono_s * 1_000 + entry.t_ms
        if known.read_in is None:
            known.read_in = page.number
        if entry.type is LogType.ALARM_ON and known.fields:
            self._alarm_of_entry(known)

    def _alarm_of_entry(self, entry: Fact) -> None:
        """An alarm of which the log alone tells."""
        name, seq = str(entry.fields["alarm_id"]), entry.seq or 0
        if (name, seq) in self._alarms:
            return
        fact = Fact(FactKind.ALARM, name, entry.number, entry.since_ns, entry.memory)
        fact.running_ms, fact.fields, fact.log, fact.seq = entry.running_ms, entry.fields, LogName.MAIN, seq
        fact.text = f"{name}, told by the log"
        self._alarms[name, seq] = self._add(fact)


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as the marks of a pump's world have them: enums by name, flags as numbers."""
    return {
        name: int(value) if isinstance(value, IntFlag) else getattr(value, "name", value)
        for name, value in fields.items()
    }
