"""A recording as a conversation: each request with what came of it, in order, and the sessions they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.messages import FrameState, RecordedMessage, read_messages
from hil.capture.soundness import Soundness
from hil.errors import BadConfiguration
from hil.quantity_words import counted
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Beginning
from protocol.identifiers import Capability, Handshake, Kind, Opcode, Outcome, Role, StateChanged
from protocol.messages.errors import ErrorReply
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.messages.reading import GetInfoReply
from protocol.registry import command_at
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hil.capture.messages import Read
    from protocol.link.development_keys import DeviceKey
    from protocol.messages.command import Command

ACT_ALWAYS: Final = frozenset({Opcode.STOP, Opcode.BOLUS_CANCEL})
"""They act each time they come, whatever their id [SPEC 5, R8]."""


class Greeting(NamedTuple):
    """A session of the recording, by its handshake. The times are those of CLIENT_HELLO, None where there are none."""

    number: int
    since_ns: int | None
    pump_ms: int | None
    hello: ClientHello
    boot_count: int
    caps: Capability

    @property
    def role(self) -> Role | None:
        """Whose session it is; None for a role that this version does not know."""
        return Role(self.hello.role) if self.hello.role in set(Role) else None


class Answer(NamedTuple):
    """What a request was answered: `message` is None where this version cannot read it."""

    number: int
    since_ns: int | None
    kind: Kind
    payload: bytes
    message: Any


class Hint(NamedTuple):
    """An event that the pump sent by itself."""

    since_ns: int | None
    opcode: int
    payload: bytes
    message: Any


@dataclass(slots=True)
class Exchange:
    """A request and what came of it.

    `number` is that of its packet; its times are None where the file has none. `greeting` is None where its handshake
    was not recorded, `request` where this version cannot read it, `answer` where none was recorded. `hints` came after
    it and before the next request.
    """

    number: int
    since_ns: int | None
    greeting: Greeting | None
    opcode: int
    payload: bytes
    request: Any
    answer: Answer | None = None
    hints: list[Hint] = field(default_factory=list)
    pump_ms: int | None = None
    met_no_session: bool = False
    """Whether the pump hinted that it had no session for it: it did nothing, and was asked anew in another."""

    @property
    def command(self) -> Command | None:
        """Its row in the table of commands; None where there is none."""
        return command_at(self.opcode)

    @property
    def was_accepted(self) -> bool:
        """Whether the pump may have done it: all but what it refused without a change, or never heard of."""
        if self.answer is None or self.answer.kind is not Kind.ERROR:
            return True
        error = self.answer.message
        return not (isinstance(error, ErrorReply) and error.state_changed == StateChanged.NO)

    @property
    def changed_the_ledger(self) -> bool:
        """Whether it is a command with an id of its own that the pump may have carried out by this very request.

        A repetition that was told what it had done before, and a patient's bolus that was denied, changed nothing.
        """
        if self.command is None or not self.command.carries_cmd_id or not self.was_accepted:
            return False
        result = getattr(None if self.answer is None else self.answer.message, "result", None)
        if result is None:
            return True
        return result.outcome is not Outcome.REFUSED and (not result.dup or self.opcode in ACT_ALWAYS)

    @property
    def delay_ns(self) -> int:
        """From the request to its answer; 0 where the recording has no times."""
        if self.answer is None or self.answer.since_ns is None or self.since_ns is None:
            return 0
        return max(0, self.answer.since_ns - self.since_ns)


@dataclass(slots=True)
class Conversation:
    """What was said in a recording, as far as it could be read."""

    exchanges: list[Exchange] = field(default_factory=list)
    greetings: list[Greeting] = field(default_factory=list)
    sealed: int = 0
    """Frames that no key opened."""
    damaged: int = 0
    """Places of the file that could not be read."""
    memories: dict[int, int] = field(default_factory=dict)
    """By the id of each memory that answered, how many requests came before it did."""
    told: dict[str, str] = field(default_factory=dict)
    """What the first recorder says of the recording, by name."""

    @property
    def first_ns(self) -> int | None:
        """When the first frame of it passed; None where the file has no times."""
        times = [greeting.since_ns for greeting in self.greetings[:1]]
        times += [exchange.since_ns for exchange in self.exchanges[:1]]
        return min((each for each in times if each is not None), default=None)

    def of_first_memory(self) -> Conversation:
        """The part until another memory answers than the first."""
        ends = sorted(self.memories.values())[1:2]
        return self if not ends else replace(self, exchanges=self.exchanges[: ends[0]])


def read_conversation(path: Path, keys: Iterable[DeviceKey] = (), *, in_part: bool = False) -> Conversation:
    """The conversation in a recording. `keys`: see `read_messages`.

    BadConfiguration where the file cannot be read or has no request that can; without `in_part` also where it is
    damaged, or where a frame in it is sealed, since what is missing there would be missed in silence.
    """
    soundness = Soundness()
    conversation = conversation_of(soundness.watching(read_messages(path, keys)))
    soundness.refuse_foreign(path)
    hidden = conversation.sealed or conversation.damaged or len(conversation.memories) > 1
    if conversation.exchanges and (in_part or not hidden):
        return conversation.of_first_memory()
    can_be = f"{counted(len(conversation.exchanges), 'request')} of it can be read"
    if conversation.damaged:
        why, advice = (
            f"is damaged in {counted(conversation.damaged, 'place')}",
            "look at it with `pumpbench decode`",
        )
    elif conversation.sealed:
        why = f"has {counted(conversation.sealed, 'sealed frame')}, and no key opens them"
        advice = "give the device's with --key"
    elif len(conversation.memories) > 1:
        why = f"has sessions of {len(conversation.memories)} pumps, or of one that lost its memory"
        can_be, advice = "a replay is one pump", "record one"
    else:
        raise BadConfiguration(
            f"{path} has no request in it, so there is nothing to replay",
            advice="look at it with `pumpbench decode`",
        )
    if conversation.exchanges:
        advice += ", or replay with --in-part what can be read of the first pump"
    raise BadConfiguration(f"{path} {why}; {can_be}", advice=advice)


def conversation_of(entries: Iterable[Read]) -> Conversation:
    """The conversation that these entries of a recording tell; marks, noise and repetitions are no part of it."""
    reader = _Reader()
    for entry in entries:
        match entry:
            case RecordedMessage():
                reader.take(entry)
            case Damage():
                reader.conversation.damaged += 1
            case Beginning():
                reader.begin(entry)
    return reader.conversation


class _Reader:
    """Puts requests, answers and hints together."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self._hello: tuple[int, int | None, int | None, ClientHello] | None = None
        self._sessions: dict[int, Greeting] = {}
        self._asked: dict[tuple[int, int], Exchange] = {}
        self._by_number: dict[int, Exchange] = {}
        self._places: dict[int, int] = {}

    def begin(self, entry: Beginning) -> None:
        """A recorder began: what it hears answers nothing that was said before."""
        self._asked.clear()
        self.conversation.told = self.conversation.told or dict(entry.told)

    def take(self, entry: RecordedMessage) -> None:
        frame = entry.frame
        if not isinstance(frame, Frame):
            return
        if entry.state is FrameState.SEALED or entry.payload is None:
            self.conversation.sealed += 1
            return
        match frame.kind:
            case Kind.HANDSHAKE:
                self._greeted(entry, frame)
            case Kind.REQUEST:
                self._requested(entry, frame, entry.payload)
            case Kind.RESPONSE | Kind.ERROR:
                self._answered(entry, frame, entry.payload)
            case Kind.EVENT if self.conversation.exchanges:
                hint = Hint(entry.since_ns, frame.opcode, entry.payload, entry.message)
                self.conversation.exchanges[-1].hints.append(hint)

    def _greeted(self, entry: RecordedMessage, frame: Frame) -> None:
        message = entry.message
        if isinstance(message, ClientHello):
            self._hello = entry.number, entry.since_ns, entry.passed.pump_ms, message
        elif isinstance(message, PumpHello) and self._hello is not None:
            caps = Capability(message.caps)
            self._sessions[message.sid] = Greeting(*self._hello, message.boot_count, caps)
            for asked in [key for key in self._asked if key[0] == message.sid]:
                del self._asked[asked]
        elif frame.opcode == Handshake.PUMP_PROOF and frame.sid in self._sessions:
            greeting = self._sessions[frame.sid]
            if greeting not in self.conversation.greetings:
                self.conversation.greetings.append(greeting)

    def _requested(self, entry: RecordedMessage, frame: Frame, payload: bytes) -> None:
        if (frame.sid, frame.ctr) in self._asked:
            return  # a repetition, byte for byte
        greeting = self._sessions.get(frame.sid)
        exchange = Exchange(entry.number, entry.since_ns, greeting, frame.opcode, payload, entry.message)
        exchange.pump_ms = entry.passed.pump_ms
        self._asked[frame.sid, frame.ctr] = self._by_number[entry.number] = exchange
        self._places[entry.number] = len(self.conversation.exchanges)
        self.conversation.exchanges.append(exchange)

    def _answered(self, entry: RecordedMessage, frame: Frame, payload: bytes) -> None:
        exchange = None if entry.answers is None else self._by_number.get(entry.answers)
        if exchange is None:
            return  # an answer to what was not recorded
        if frame.ctr == 0:
            exchange.met_no_session = exchange.answer is None  # nobody has signed it
        elif exchange.answer is None:
            exchange.met_no_session = False
            exchange.answer = Answer(entry.number, entry.since_ns, frame.kind, payload, entry.message)
            if isinstance(entry.message, GetInfoReply):
                self.conversation.memories.setdefault(entry.message.memory_id, self._places[exchange.number])
