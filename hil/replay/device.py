"""A recorded session as a device: it opens sessions of its own, and answers as the pump in the recording did.

No clock and no line: bytes and times are handed in. Nothing is moved, and nothing that the recording does not have is
ever said to have been done [README.md].
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.replay.conversation import ACT_ALWAYS
from hil.replay.matching import Asked, asked, is_in_the_way, only_asks, unlike
from hil.replay.misses import Miss, miss, opcode_words
from hil.replay.pace import NS_PER_MS
from hil.replay.run_ledger import DID_NOTHING, WAS_CARRIED_OUT, Entry, RunLedger, repeated_reply
from hil.replay.timing import ORIGINAL
from hil.replay.values import Values, Volatile, translated
from protocol.codec.layouts import encode
from protocol.identifiers import (
    Capability,
    DeviceKind,
    ErrorCode,
    Kind,
    Opcode,
    Outcome,
    Role,
    SecurityProfile,
    StateChanged,
)
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey
from protocol.link.events import Request, SessionClosed, SessionOpened
from protocol.link.pump_end import PumpEnd
from protocol.log.types import LogName
from protocol.messages.bolus import BolusCancelReply
from protocol.messages.conversation import EventHint, Subscribe
from protocol.messages.errors import ErrorReply, refusal
from protocol.messages.keys import KeyAdd, KeyRevoke
from protocol.messages.ledger import OWN_KEY, QueryCmd, QueryCmdReply, VoidCmd, VoidCmdReply
from protocol.messages.reading import GetInfoReply, GetStatusReply
from protocol.messages.stop import StopReply
from protocol.messages.time import GetTimeReply, TimeSet, TimeSetReply
from protocol.registry import cmd_crc
from protocol.wire.limits import CMD_ID_STEP_MAX, SESSION_MARK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.entropy import Entropy
    from hil.replay.conversation import Conversation, Exchange, Greeting
    from hil.replay.timing import Timing

U32_MAX: Final = 0xFFFF_FFFF
MEMORY_ID_BYTES: Final = 8
WAS_INVALID_S: Final = -0x8000_0000
"""`delta_s` where the clock had no time before [SPEC 6]."""
OF_THE_LINK: Final = frozenset({Opcode.PING, Opcode.END_SESSION})
"""They ask for nothing that a recording could have: whoever is on the line answers them."""
NOT_AGAIN: Final = {"delta_s": 0}
MISSES_KEPT: Final = 1_000
ASSOCIATED_BYTES: Final = 4  # of KEY_ADD: what is sealed together with the key [SPEC 6]


class OnMiss(StrEnum):
    """What becomes of a request that the recording does not have. A command is refused by each."""

    REFUSE = "refuse"
    NEAREST = "nearest"
    STOP = "stop"


@dataclass
class Tally:
    """How the requests of a run were answered."""

    asked: int = 0
    recorded: int = 0
    """As in the recording."""
    by_rule: int = 0
    """By the rules of the ledger and of the link, which hold for every pump."""
    nearest: int = 0
    """As another request of the recording that was nearest."""
    refused: int = 0
    """Not at all: the recording has none such."""
    misses: list[str] = field(default_factory=list)
    """What was said of each that was not as recorded; of the first so many."""

    @property
    def missed(self) -> int:
        """Requests that the recording does not have."""
        return self.nearest + self.refused


class ReplayHost:
    """What the link asks a pump for: keys, chance, and how often it has started."""

    def __init__(self, entropy: Entropy) -> None:
        self.keys = {key.key_id: key for key in DEVELOPMENT_KEYS}
        self.boots = 1
        self.draw = entropy.draw

    def key_of(self, key_id: int) -> DeviceKey | None:
        """A development key, or one that was paired in this run."""
        return self.keys.get(key_id)

    def boot_count(self) -> int:
        """As the pump in the recording had it in its next session."""
        return self.boots

    def proximity(self) -> bool:
        """There is no battery to be saved, so nobody is kept waiting."""
        return True

    def rng_failed(self) -> bool:
        """Its chance is the host's."""
        return False


@dataclass(slots=True)
class _Session:
    """The open session; `hints` are the changes that its programmer has asked to be told of."""

    key: DeviceKey
    nonce: bytes
    hints: int = 0


class _Due(NamedTuple):
    """Something to be sent at a time."""

    at_ns: int
    send: Callable[[], object]


class ReplayDevice:
    """The device: feed it bytes, call `advance` when there were some and at `wake_at_ns`, send `take_output`.

    Times in ns are those of one clock that never goes back. `tell` gets a sentence for each request that the recording
    does not have.
    """

    def __init__(
        self,
        conversation: Conversation,
        entropy: Entropy,
        *,
        timing: Timing = ORIGINAL,
        on_miss: OnMiss = OnMiss.REFUSE,
        tell: Callable[[str], object] = lambda _sentence: None,
    ) -> None:
        self._exchanges = [each for each in conversation.exchanges if not each.met_no_session]
        self._greetings = conversation.greetings
        self._timing = timing
        self._on_miss = on_miss
        self._tell = tell
        self._host = ReplayHost(entropy)
        self.memory_id = int.from_bytes(entropy.draw(MEMORY_ID_BYTES), "little") or 1
        """Its own, and in each run another."""
        self.tally = Tally()
        self.fed_bytes = 0
        self.stopped = False
        """Whether it has met a request that ends it (`OnMiss.STOP`)."""
        self._position = 0
        self._wall_shift_s = 0
        self._last_change: Entry | None = None
        self._shared = Values()
        self._values: dict[Role, Values] = {}
        self._ledgers: dict[Role, RunLedger] = {}
        self._session: _Session | None = None
        self._answer: _Due | None = None
        self._hints: deque[_Due] = deque()
        caps = self._greetings[0].caps if self._greetings else Capability(0)
        self._end = PumpEnd(self._host, caps=caps)
        self._look_ahead()

    # The line

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the line."""
        self.fed_bytes += len(data)
        self._end.feed(data, now_ns // NS_PER_MS)

    def take_output(self) -> bytes:
        """Bytes to put on the line now; each is returned once."""
        return self._end.take_output()

    @property
    def has_session(self) -> bool:
        """Whether a programmer has a session open."""
        return self._session is not None

    @property
    def wake_at_ns(self) -> int | None:
        """When `advance` must be called though no byte comes; None where nothing is due."""
        if self._answer is not None:
            return self._answer.at_ns
        deadline_ms = self._end.deadline_ms()
        due = [] if deadline_ms is None else [deadline_ms * NS_PER_MS]
        return min([*due, *(hint.at_ns for hint in list(self._hints)[:1])], default=None)

    def advance(self, now_ns: int) -> None:
        """Do what is due, and answer what has come."""
        while True:
            if self._answer is not None:
                if now_ns < self._answer.at_ns:
                    return
                due, self._answer = self._answer, None
                due.send()
            while self._hints and self._hints[0].at_ns <= now_ns:
                self._hints.popleft().send()
            match self._end.next_event(now_ns // NS_PER_MS):
                case None:
                    return
                case SessionOpened(key=key, client_nonce=nonce):
                    self._session = _Session(key, nonce)
                case SessionClosed():
                    self._session = None
                    self._hints.clear()
                case Request() as request:
                    self._take(request, now_ns)

    # A request

    def _take(self, request: Request, now_ns: int) -> None:
        """Answer as recorded, else by the rules that hold for every pump, else say that the recording has none."""
        assert self._session is not None  # noqa: S101 - a request comes in a session
        wanted = asked(self._session.key.role, request.opcode, request.payload)
        self.tally.asked += 1
        index = None if self.stopped else self._next_like(wanted)
        if index is not None and not self._would_be_untrue(self._exchanges[index], wanted):
            self._answer_as_recorded(index, wanted, now_ns)
            return
        by_rule = self._by_rule(wanted)
        if by_rule is None:
            self._miss(wanted)
        else:
            self.tally.by_rule += 1
            by_rule()

    def _next_like(self, wanted: Asked) -> int | None:
        """Where the recording has this request next, before whatever stands in its way."""
        values = self._values_of(wanted.role)
        for index in range(self._position, len(self._exchanges)):
            exchange = self._exchanges[index]
            if exchange.opcode == wanted.opcode and not unlike(exchange, wanted, values):
                return index
            if is_in_the_way(exchange, wanted):
                break
        return None

    def _would_be_untrue(self, exchange: Exchange, wanted: Asked) -> bool:
        """Whether the recorded answer would say of an id what is not so in this run."""
        answer, message = exchange.answer, wanted.message
        if isinstance(message, QueryCmd | VoidCmd):
            ledger = self._ledger_asked(message, wanted.role)
            told = None if answer is None else answer.message
            carried_out = isinstance(told, QueryCmdReply | VoidCmdReply) and told.outcome in WAS_CARRIED_OUT
            here = None if ledger is None else ledger.query(message.cmd_id)
            return carried_out and here is not None and here.outcome in DID_NOTHING
        if wanted.opcode == Opcode.GET_INFO:
            return answer is not None and answer.kind is Kind.RESPONSE and answer.message is None
        if message is None or wanted.command is None or not wanted.command.carries_cmd_id:
            return False
        if wanted.opcode in ACT_ALWAYS:
            return False
        crc = cmd_crc(wanted.opcode, message)
        return (
            self._ledger_of(wanted.role).objection(message.cmd_id, crc) is not None and exchange.was_accepted
        )

    def _answer_as_recorded(self, index: int, wanted: Asked, now_ns: int) -> None:
        assert self._session is not None  # noqa: S101 - a request comes in a session
        exchange = self._exchanges[index]
        hints = [hint for each in self._exchanges[self._position : index + 1] for hint in each.hints]
        self._hints = deque(
            due._replace(at_ns=now_ns) for due in self._hints
        )  # they came before this request
        self._position = index + 1
        self.tally.recorded += 1
        self._learn(exchange, wanted)
        self._look_ahead()
        answer = exchange.answer
        if answer is None:
            self._end.drop()
            return
        self._act(exchange, wanted)
        delay_ns = self._timing.scaled_ns(exchange.delay_ns)
        send: Callable[[], object]
        if answer.kind is Kind.ERROR:
            unread = refusal(ErrorCode.INTERNAL, StateChanged.UNKNOWN)  # of a later version
            send = partial(self._end.refuse, unread if answer.message is None else answer.message)
        else:
            send = partial(self._end.respond, self._payload_of(exchange, wanted))
        self._answer = _Due(now_ns + delay_ns, send)
        for hint in hints:
            since_ns = (
                0 if hint.since_ns is None or exchange.since_ns is None else hint.since_ns - exchange.since_ns
            )
            at_ns = now_ns + max(delay_ns, self._timing.scaled_ns(since_ns))
            if isinstance(hint.message, EventHint) and hint.message.mask & self._session.hints:
                self._hints.append(_Due(at_ns, partial(self._end.announce, hint.opcode, hint.payload)))

    def _learn(self, exchange: Exchange, wanted: Asked) -> None:
        """What this run calls what was recorded, and what the ledger has from now on."""
        assert self._session is not None  # noqa: S101 - a request comes in a session
        values, ledger = self._values_of(wanted.role), self._ledger_of(wanted.role)
        if exchange.greeting is not None:
            hello = exchange.greeting.hello
            values.learn(Volatile.KEY, hello.key_id, self._session.key.key_id)
            nonces = hello.nonce_c[:SESSION_MARK_BYTES], self._session.nonce[:SESSION_MARK_BYTES]
            values.learn(Volatile.SESSION, *nonces)
        message, recorded = wanted.message, exchange.request
        if message is None or recorded is None:
            return
        if wanted.command is not None and wanted.command.carries_cmd_id:
            crc = cmd_crc(wanted.opcode, message)
            values.learn(Volatile.COMMAND_ID, recorded.cmd_id, message.cmd_id)
            values.learn(Volatile.CHECKSUM, cmd_crc(wanted.opcode, recorded), crc)
            if exchange.changed_the_ledger or self._was_entered_before(exchange):
                self._enter(exchange, wanted, crc)
            elif exchange.answer is not None and isinstance(exchange.answer.message, ErrorReply):
                ledger.note_refusal(message.cmd_id, wanted.opcode, crc, exchange.answer.message.code)
        elif isinstance(message, QueryCmd | VoidCmd) and exchange.answer is not None:
            about = self._ledger_asked(message, wanted.role)
            told = exchange.answer.message
            if about is not None and isinstance(told, QueryCmdReply | VoidCmdReply):
                about.hear(message.cmd_id, QueryCmdReply(*told))
                if told.outcome is Outcome.VOIDED:
                    about.void(message.cmd_id, told.start_seq)

    def _was_entered_before(self, exchange: Exchange) -> bool:
        """Whether the recording has the repetition of a command alone, which came before it began."""
        result = getattr(None if exchange.answer is None else exchange.answer.message, "result", None)
        return result is not None and result.outcome in WAS_CARRIED_OUT and exchange.opcode not in ACT_ALWAYS

    def _enter(self, exchange: Exchange, wanted: Asked, crc: int) -> None:
        """Note what became of a command, as far as the recording tells. STOP and CANCEL also act where none is."""
        ledger, message = self._ledger_of(wanted.role), wanted.message
        reply = None if exchange.answer is None else exchange.answer.message
        result = getattr(reply, "result", None)
        if result is None:
            entry = self._entry_by_hindsight(exchange, wanted, crc)
        else:
            reply = self._translated(reply, wanted.role)
            entry = Entry(
                wanted.opcode, crc, result.outcome, result.reason, start_seq=result.seq, reply=reply
            )
            entry.delivered_nl = getattr(reply, "delivered_nl", 0)
            entry.requested_nl = getattr(message, "volume_nl", getattr(reply, "volume_nl", 0))
            entry.end_seq = result.seq if result.outcome is Outcome.DONE else 0
        known = ledger.find(message.cmd_id)
        if known is not None and ledger.objection(message.cmd_id, crc) is None:
            if result is not None:
                known.outcome, known.delivered_nl = result.outcome, getattr(reply, "delivered_nl", 0)
            entry = known
        elif entry is not None and known is None and ledger.objection(message.cmd_id, crc) is None:
            unrecorded = wanted.opcode in ACT_ALWAYS and result is not None and result.dup
            if not unrecorded:
                ledger.enter(message.cmd_id, entry)
        self._last_change = entry
        if isinstance(reply, BolusCancelReply) and reply.target_outcome is Outcome.PARTIAL:
            ledger.end_running(reply.delivered_nl)
        elif wanted.opcode == Opcode.STOP:
            for each in self._ledgers.values():
                each.end_running(None)

    def _entry_by_hindsight(self, exchange: Exchange, wanted: Asked, crc: int) -> Entry | None:
        """The entry of a command that got no answer, by what the recording says of it later; None: it never arrived."""
        for later in self._exchanges[self._position :]:
            if later.greeting is None or later.greeting.role is not wanted.role or later.answer is None:
                continue
            told, request = later.answer.message, later.request
            if isinstance(request, QueryCmd | VoidCmd) and request.cmd_id == exchange.request.cmd_id:
                if not isinstance(told, QueryCmdReply | VoidCmdReply):
                    continue
                if told.outcome not in WAS_CARRIED_OUT:
                    return None
                moves = hasattr(wanted.message, "volume_nl")
                return Entry(
                    wanted.opcode, crc, Outcome.RUNNING if moves else told.outcome, start_seq=told.start_seq
                )
        return Entry(wanted.opcode, crc, None)

    def _act(self, exchange: Exchange, wanted: Asked) -> None:
        """Do the little that a recording can: keep whose hints are wanted, which keys are paired, what time it is."""
        assert self._session is not None  # noqa: S101 - a request comes in a session
        if exchange.answer is None or exchange.answer.kind is not Kind.RESPONSE:
            return
        match wanted.message:
            case Subscribe(mask=mask):
                self._session.hints = mask
            case KeyAdd(key_id=key_id, role=role, wrapped=wrapped):
                key = self._end.unwrap_key(wanted.payload[:ASSOCIATED_BYTES], wrapped)
                if key is not None:
                    self._host.keys[key_id] = DeviceKey(
                        key_id, role, key, len(self._host.keys), development=False
                    )
            case KeyRevoke(key_id=key_id):
                self._host.keys.pop(key_id, None)

    # What is answered

    def _payload_of(self, exchange: Exchange, wanted: Asked) -> bytes:
        """The recorded answer in the words of this run."""
        assert exchange.answer is not None and self._session is not None  # noqa: S101, PT018 - the caller looked
        recorded = exchange.answer.message
        if recorded is None:
            return exchange.answer.payload
        reply = self._translated(recorded, wanted.role)
        match reply:
            case GetInfoReply():
                reply = reply._replace(
                    kind=DeviceKind.REPLAY,
                    memory_id=self.memory_id,
                    dev_key=self._session.key.development,
                    profile=SecurityProfile.SECURED,
                )
            case GetStatusReply():
                last = self._ledger_of(wanted.role).last_of(recorded.last_cmd_id, reply.last_cmd_id)
                reply = reply._replace(last_cmd_id=last, wall_s=self._shifted_s(reply.wall_s))
            case StopReply() | BolusCancelReply() if wanted.message is not None:
                entry = self._ledger_of(wanted.role).find(wanted.message.cmd_id)
                if (
                    entry is None or entry is not self._last_change
                ):  # it acts, and is not entered [SPEC 5, R8]
                    reply = reply._replace(result=reply.result._replace(dup=True))
            case GetTimeReply():
                client_ms = getattr(wanted.message, "client_ms", reply.client_ms)
                reply = reply._replace(client_ms=client_ms, wall_s=self._shifted_s(reply.wall_s))
            case TimeSetReply() if isinstance(wanted.message, TimeSet) and isinstance(
                exchange.request, TimeSet
            ):
                shift_s = wanted.message.wall_s - exchange.request.wall_s
                if reply.delta_s != WAS_INVALID_S:
                    reply = reply._replace(delta_s=reply.delta_s + shift_s - self._wall_shift_s)
                self._wall_shift_s = shift_s
        return exchange.answer.payload if reply == recorded else encode(reply)

    def _shifted_s(self, wall_s: int) -> int:
        """A recorded time of day by the clock that was set in this run; 0 is no time."""
        return min(max(wall_s + self._wall_shift_s, 1), U32_MAX) if wall_s else 0

    def _translated(self, message: Any, role: Role) -> Any:
        return translated(message, self._values_of(role).to_run)

    # By rule

    def _by_rule(self, wanted: Asked) -> Callable[[], object] | None:
        """What every pump answers, whatever was recorded; None where there is no such rule."""
        end, message = self._end, wanted.message
        if wanted.opcode in OF_THE_LINK:
            return partial(end.respond, b"")
        if isinstance(message, QueryCmd | VoidCmd):
            return self._word_of(message, wanted)
        if wanted.opcode == Opcode.GET_INFO or getattr(message, "log", None) is LogName.SECURITY:
            recorded = self._found_anywhere(wanted)
            return None if recorded is None else partial(end.respond, self._payload_of(recorded, wanted))
        if message is not None and wanted.command is not None and wanted.command.carries_cmd_id:
            return self._repetition(wanted)
        return None

    def _found_anywhere(self, wanted: Asked) -> Exchange | None:
        """The same question wherever it was asked: which pump it is and who was on its line, no command changes."""
        values = self._values_of(wanted.role)
        for each in self._exchanges:
            answer = each.answer
            if each.opcode != wanted.opcode or answer is None or answer.kind is not Kind.RESPONSE:
                continue
            differing = {each.field for each in unlike(each, wanted, values)}
            if wanted.opcode == Opcode.GET_INFO:
                differing -= {"role"}  # it is the same pump for everybody
            if answer.message is not None and not differing:
                return each
        return None

    def _word_of(self, message: QueryCmd | VoidCmd, wanted: Asked) -> Callable[[], object] | None:
        """What the ledger of this run says of an id."""
        ledger, end = self._ledger_asked(message, wanted.role), self._end
        if ledger is None:
            return None
        if isinstance(message, VoidCmd):
            objection = ledger.void(message.cmd_id, 0)
            if objection is not None:
                return partial(end.refuse, self._unusable(ledger, message.cmd_id, objection))
        told = ledger.query(message.cmd_id)
        if told is None:
            return end.drop
        reply = VoidCmdReply(*told) if isinstance(message, VoidCmd) else told
        return partial(end.respond, encode(reply))

    def _repetition(self, wanted: Asked) -> Callable[[], object] | None:
        """The answer to a command whose id was used in this run, or cannot be; None for one that is new."""
        ledger, message, end = self._ledger_of(wanted.role), wanted.message, self._end
        crc = cmd_crc(wanted.opcode, message)
        entry = ledger.find(message.cmd_id)
        if wanted.opcode in ACT_ALWAYS and (entry is None or entry is not self._last_change):
            return None
        objection = ledger.objection(message.cmd_id, crc)
        if objection is not None:
            ledger.note_refusal(message.cmd_id, wanted.opcode, crc, objection)
            return partial(end.refuse, self._unusable(ledger, message.cmd_id, objection))
        if entry is None:
            return None
        if entry.outcome is None or entry.reply is None:
            return end.drop  # nobody knows what became of it
        return partial(end.respond, encode(repeated_reply(entry, NOT_AGAIN)))

    @staticmethod
    def _unusable(ledger: RunLedger, cmd_id: int, error: ErrorCode) -> ErrorReply:
        """The refusal of a command for its id, with the ids that could be used."""
        last = ledger.last_cmd_id
        return refusal(error, detail=cmd_id, limit=last + CMD_ID_STEP_MAX, nearest=last + 1, field_offset=0)

    # What the recording does not have

    def _miss(self, wanted: Asked) -> None:
        """Refuse, or answer a question as its nearest; a command is refused and nothing of it is ever said done."""
        if self.stopped:
            after = f"{opcode_words(wanted.opcode)} was asked after the miss that ends this replay"
            found = Miss(after, None)
        else:
            found = miss(self._exchanges, self._position, wanted, self._values_of(wanted.role))
        stand_in = found.stand_in
        if self._on_miss is OnMiss.NEAREST and stand_in is not None and only_asks(wanted.command):
            self.tally.nearest += 1
            self._say(f"{found.sentence}; it is answered as packet {stand_in.number} was")
            if isinstance(wanted.message, Subscribe) and self._session is not None:
                self._session.hints = wanted.message.mask
            self._end.respond(self._payload_of(stand_in, wanted))
            return
        self.tally.refused += 1
        self._say(f"{found.sentence}; it is refused, and nothing is done")
        if wanted.message is not None and wanted.command is not None and wanted.command.carries_cmd_id:
            crc = cmd_crc(wanted.opcode, wanted.message)
            ledger = self._ledger_of(wanted.role)
            ledger.note_refusal(wanted.message.cmd_id, wanted.opcode, crc, ErrorCode.UNSUPPORTED_OP)
        self._end.refuse(refusal(ErrorCode.UNSUPPORTED_OP, detail=wanted.opcode))
        self.stopped = self.stopped or self._on_miss is OnMiss.STOP

    def _say(self, sentence: str) -> None:
        if len(self.tally.misses) < MISSES_KEPT:
            self.tally.misses.append(sentence)
        self._tell(sentence)

    # Whose ids they are

    def _values_of(self, role: Role) -> Values:
        return self._values.setdefault(role, Values(self._shared))

    def _ledger_of(self, role: Role) -> RunLedger:
        if role not in self._ledgers:
            self._ledgers[role] = RunLedger(last_id_before(self._exchanges, role))
        return self._ledgers[role]

    def _ledger_asked(self, message: QueryCmd | VoidCmd, role: Role) -> RunLedger | None:
        """The ledger that a question is about; None where its key is nobody's here."""
        key_id = getattr(message, "key_id", OWN_KEY)
        if key_id == OWN_KEY:
            return self._ledger_of(role)
        key = self._host.key_of(key_id)
        return None if key is None else self._ledger_of(key.role)

    def _look_ahead(self) -> None:
        """Start as often as the pump had in the session that comes next in the recording."""
        done = self._exchanges[self._position - 1].number if self._position else 0
        ahead: list[Greeting] = [each for each in self._greetings if each.number > done]
        upcoming = (ahead or self._greetings[-1:])[:1]
        self._host.boots = upcoming[0].boot_count if upcoming else 1


def last_id_before(exchanges: list[Exchange], role: Role) -> int:
    """The last command id that the pump had seen of a role's key before its first command in the recording.

    As its status told, else the one before that command's; 0 where neither is there.
    """
    for exchange in exchanges:
        if exchange.greeting is not None and exchange.greeting.role is not role:
            continue
        if exchange.answer is not None and isinstance(exchange.answer.message, GetStatusReply):
            return exchange.answer.message.last_cmd_id
        if exchange.request is not None and exchange.changed_the_ledger:
            return int(exchange.request.cmd_id) - 1
    return 0
