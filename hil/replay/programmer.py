"""A recorded session as a programmer: its requests once more, at a live device or a new build [README.md].

Ids, tokens, revisions, numbers of log entries and check values of the recording are translated into those of this run,
and what the device says back into those of the recording, so that both can be compared. Nothing is sent any more once
what became of a command is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.messages import RecordedMessage, messages_of
from hil.capture.run_recording import RecordedChannel
from hil.comparison.judging import Judge, Unlike
from hil.comparison.rules import Rules
from hil.deadline import Deadline
from hil.errors import BenchLost, LinkError, OutcomeUnknown
from hil.programmer.client_session import ClientSession, NoReply, Refused, Replied
from hil.programmer.requester import session_is_gone
from hil.replay.conversation import Answer
from hil.replay.matching import only_asks
from hil.replay.misses import opcode_words
from hil.replay.pace import NS_PER_MS
from hil.replay.run_ledger import WAS_CARRIED_OUT
from hil.replay.values import Values, Volatile, translated
from hil.wire_log import WireLog
from protocol.capture.recording import Passed, Way
from protocol.capture.splitter import Splitter
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode, encode
from protocol.errors import LocalError
from protocol.identifiers import Kind, Opcode, Outcome, Role, State, StateChanged
from protocol.messages.keys import KeyAdd
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.reading import GetInfo, GetInfoReply
from protocol.wire.limits import GAP_HOST_MS, KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.channel import Channel
    from hil.programmer.client_session import Answer as SessionAnswer
    from hil.programmer.entropy import Entropy
    from hil.programmer.expected_pump import ExpectedPump
    from hil.replay.conversation import Conversation, Exchange, Greeting
    from hil.replay.filing import Filed, Filing
    from hil.replay.pace import Pace
    from protocol.link.development_keys import DeviceKey

PATIENCE_MS: Final = 15_000
ASSOCIATED_BYTES: Final = 4  # of KEY_ADD [SPEC 6]


class Played(NamedTuple):
    """A request of the recording that was asked again: `answer` is this run's, in the words of the recording."""

    exchange: Exchange
    answer: Answer | None
    differing: list[Unlike]


class Player:
    """Plays a conversation on a channel, request by request, for whoever asks for the next."""

    def __init__(
        self,
        conversation: Conversation,
        channel: Channel,
        *,
        key_of: Callable[[Greeting | None], DeviceKey],
        entropy: Entropy,
        pace: Pace,
        now_ns: Callable[[], int],
        filing: Filing | None = None,
        rules: Rules | None = None,
    ) -> None:
        """`key_of` has the key with which a recorded session is opened here; `now_ns` times what passes.

        Without `filing` commands are not filed: only for a device that ends with this run. `rules` say what is the
        same, by default those of the declarations.
        """
        self.judge = Judge(Rules() if rules is None else rules)
        self._conversation = conversation
        self._entropy = entropy
        self._pace = pace
        self._key_of = key_of
        self._now_ns = now_ns
        self._filing = filing
        self.expected_pump: ExpectedPump | None = None
        """Is compared with the pump that answers before it is sent what changes it; None where any may answer."""
        self._splitters = {way: Splitter(GAP_HOST_MS * NS_PER_MS) for way in Way}
        self._heard: list[Passed] = []
        self._channel = RecordedChannel(channel, self._keep)
        self._sessions: dict[int, ClientSession] = {}
        self._shared = Values()
        self._values: dict[Role, Values] = {}
        self._keys: dict[int, DeviceKey] = {}
        self._at: Greeting | None = None
        self._info: GetInfoReply | None = None
        self._last: Played | None = None
        self.left_out: list[Exchange] = []
        """Commands that met no session in the recording, and were not sent."""
        self._unresolved: tuple[Exchange, int, Filed | None] | None = None
        self.under_way: tuple[Exchange, int] | None = None
        """The request that was sent and whose answer is not there yet, with its command id, 0 without one."""
        self.state: State | None = None
        """The state of therapy that the device has told last; None where it has told none."""

    def play(self) -> Iterator[Played]:
        """Each request that could be read, asked again, with what it was answered now.

        LinkError where no session opens, OutcomeUnknown where a command was sent and not answered for certain.
        """
        for exchange in self._conversation.exchanges:
            if exchange.met_no_session and not only_asks(exchange.command):
                self.left_out.append(exchange)  # what did nothing then would be done now
                continue
            self._last = self._play(exchange)
            yield self._last
        if self._unresolved is not None:
            raise self.outcome_unknown(*self._unresolved[:2], "nobody asked for it in the recording")

    def messages(self) -> Iterator[RecordedMessage]:
        """What passes on the line while the conversation is played, as of a recording, in its words."""
        for entry in messages_of(self._entries(), self._sealing_key):
            if isinstance(entry, RecordedMessage):
                yield self._in_the_words_of_the_recording(entry)

    # One request

    def _play(self, exchange: Exchange) -> Played:
        if self._unresolved is not None and not (exchange.command and exchange.command.while_unknown):
            raise self.outcome_unknown(*self._unresolved[:2], "it was not answered, as in the recording")
        key = self._key_of(exchange.greeting)
        session, values = self._session_of(key), self._values_of(key.role)
        self._open(session, exchange, values)
        if self.expected_pump is not None and not only_asks(exchange.command):
            self.expected_pump.check(self._whose(session))
        self._pace.wait_for(session, exchange)
        request, filed = self._request_of(exchange, session, key, values)
        payload = request if isinstance(request, bytes) else encode(request)
        deadline = Deadline.after(PATIENCE_MS, session.now_ms())
        is_command = exchange.command is not None and exchange.command.carries_cmd_id
        self.under_way = exchange, request.cmd_id if is_command and not isinstance(request, bytes) else 0
        try:
            heard = session.ask(exchange.opcode, payload, deadline)
        except (BenchLost, LinkError) as error:
            if not is_command:
                raise
            heard = NoReply(str(error))
        if is_command:
            self._settle(exchange, heard, filed)
        elif isinstance(request, QueryCmd | VoidCmd) and isinstance(heard, Replied):
            self._resolve(request, heard)
        if exchange.opcode == Opcode.END_SESSION:
            session.forget_session()  # what the recording may have asked in it after that met none
        self.under_way = None
        return self._judged(exchange, heard, values)

    def _open(self, session: ClientSession, exchange: Exchange, values: Values) -> None:
        """Open a session where the recording has one, and where the last one was lost."""
        if session.is_open and exchange.greeting is self._at:
            return
        greeting, self._at = exchange.greeting, exchange.greeting
        if greeting is not None:
            self._pace.wait_for(session, greeting)
        session.open(Deadline.after(PATIENCE_MS, session.now_ms()))
        if self.expected_pump is not None:
            self._info = None  # another board may have come back under the same path
        opened = session.opened
        if greeting is not None and opened is not None:
            values.learn(Volatile.KEY, greeting.hello.key_id, session.key.key_id)
            values.learn(Volatile.SESSION, greeting.hello.nonce_c[:8], opened.client_nonce[:8])

    def _request_of(
        self, exchange: Exchange, session: ClientSession, key: DeviceKey, values: Values
    ) -> tuple[Any, Filed | None]:
        """A request in the values of this run, and where it is on file if it is a command.

        Its recorded payload where this version cannot read it, or where a number went beyond its field.
        """
        if exchange.request is None:
            return exchange.payload, None
        request = translated(exchange.request, values.counted_on)
        command, filed = exchange.command, None
        if isinstance(request, KeyAdd):
            associated = encode(request)[:ASSOCIATED_BYTES]
            request = request._replace(wrapped=session.wrap_key(associated, self._entropy.draw(KEY_BYTES)))
        is_command = command is not None and command.carries_cmd_id
        info = self._whose(session) if is_command and self._filing is not None else None
        if self._filing is not None and info is not None:
            acts_always = command is not None and command.while_unknown
            least = self._filing.least_cmd_id(key, info, while_unknown=acts_always)
            if not values.is_known(Volatile.COMMAND_ID, exchange.request.cmd_id):
                request = request._replace(cmd_id=max(request.cmd_id, least))
        try:
            encode(request)
        except LocalError:
            return exchange.payload, None
        if self._filing is not None and info is not None:
            filed = self._filing.file(key, info, exchange.opcode, request)
        values.learn_from(exchange.request, request)
        return request, filed

    def _whose(self, session: ClientSession) -> GetInfoReply:
        """Which pump it is, asked for where the recording has not asked yet."""
        if self._info is None:
            heard = session.ask(
                Opcode.GET_INFO, encode(GetInfo()), Deadline.after(PATIENCE_MS, session.now_ms())
            )
            if not isinstance(heard, Replied):
                raise LinkError("nothing was sent: the device does not say which pump it is")
            self._info = decode(GetInfoReply, heard.payload, allow_tail=True)
            self._heard.clear()  # no part of what is compared
        return self._info

    def _settle(self, exchange: Exchange, heard: SessionAnswer, filed: Filed | None) -> None:
        """File what became of a command; OutcomeUnknown where that is not certain."""
        command = exchange.command
        assert command is not None  # noqa: S101 - it carries an id
        why = ""
        match heard:
            case Replied(payload=payload):
                try:
                    reply: Any = decode(command.response, payload, allow_tail=True)
                except Malformed as error:
                    why = f"its answer cannot be read: {error}"
                else:
                    outcome = reply.result.outcome
                    if filed is not None:
                        filed.settle(outcome, getattr(reply, "delivered_nl", 0))
                    return
            case Refused(error=error) if session_is_gone(error):
                outcome = Outcome.NEVER_RECEIVED
            case Refused(error=error) if error.state_changed == StateChanged.NO:
                outcome = Outcome.REFUSED
            case Refused(error=error):
                why = f"the device refused it with {error.code.name} and says that something may have changed"
            case NoReply():
                why = heard.why
        if why:
            cmd_id = 0 if self.under_way is None else self.under_way[1]
            if not isinstance(heard, NoReply) or exchange.answer is not None:
                raise self.outcome_unknown(exchange, cmd_id, why)
            self._unresolved = exchange, cmd_id, filed  # as in the recording, which may go on to ask
            return
        if filed is not None:
            filed.settle(outcome)

    def _resolve(self, request: QueryCmd | VoidCmd, heard: Replied) -> None:
        """A command that was not answered is asked for: what the device says that it has done is filed.

        That it has done nothing stays open on file: whoever comes next has to see first that its memory is whole.
        """
        if self._unresolved is None or self._unresolved[1] != request.cmd_id:
            return
        try:
            told = decode(type(request).reply_class(), heard.payload, allow_tail=True)
        except Malformed:
            return
        filed = self._unresolved[2]
        if told.outcome in {Outcome.TOO_OLD, Outcome.INTENT}:
            return
        self._unresolved = None
        if filed is not None and told.outcome in WAS_CARRIED_OUT and told.cmd_crc == filed.command.cmd_crc:
            filed.settle(told.outcome, told.delivered_nl)

    @staticmethod
    def outcome_unknown(exchange: Exchange, cmd_id: int, why: str) -> OutcomeUnknown:
        """The error of a command that was sent and of which nobody knows what became."""
        return OutcomeUnknown(
            f"what became of {opcode_words(exchange.opcode)} of packet {exchange.number} is not known ({why}); it may "
            "have been carried out, and nothing more was played",
            cmd_id=cmd_id,
            advice="do not repeat it: run any command of `pumpbench program` against this pump, and it is asked for "
            "first",
        )

    # What was heard

    def _judged(self, exchange: Exchange, heard: SessionAnswer, values: Values) -> Played:
        recorded, command = exchange.answer, exchange.command
        match heard:
            case Replied(payload=payload):
                message: Any = None
                if command is not None:
                    try:
                        message = decode(command.response, payload, allow_tail=True)
                    except Malformed:
                        message = None
                kind = Kind.RESPONSE
            case Refused(error=error):
                payload, message, kind = encode(error), error, Kind.ERROR
            case _:
                place = f"{opcode_words(exchange.opcode)}.answer"
                return Played(
                    exchange, None, [] if recorded is None else [Unlike(place, _named(recorded), None)]
                )
        if isinstance(message, GetInfoReply):
            self._info = message
        self.state = getattr(message, "state", self.state)
        if recorded is not None and message is not None and recorded.message is not None:
            values.learn_from(recorded.message, message)
        if message is not None:
            message = translated(message, values.to_recording)
        answer = Answer(0, None, kind, payload, message)
        return Played(exchange, answer, self._differing(exchange, answer))

    def _differing(self, exchange: Exchange, heard: Answer) -> list[Unlike]:
        """In what an answer of this run differs from the recorded one by the rules; both as the recording calls it."""
        recorded, place = exchange.answer, opcode_words(exchange.opcode)
        if recorded is None:
            return [Unlike(f"{place}.answer", None, _named(heard))]
        if recorded.kind is not heard.kind:
            return [Unlike(f"{place}.answer", _named(recorded), _named(heard))]
        if recorded.message is None or heard.message is None:
            same = recorded.payload == heard.payload
            return [] if same else [Unlike(f"{place}.payload", recorded.payload.hex(), heard.payload.hex())]
        return list(self.judge.messages(recorded.message, heard.message))

    # The line

    def _keep(self, way: Way, data: bytes, pump_ms: int | None) -> None:
        now_ns = self._now_ns()
        for piece in self._splitters[way].feed(data, now_ns):
            self._heard.append(Passed(piece.time_ns, way, piece.data, pump_ms))

    def _entries(self) -> Iterator[Passed]:
        for _played in self.play():
            heard, self._heard = self._heard, []
            yield from heard

    def _in_the_words_of_the_recording(self, entry: RecordedMessage) -> RecordedMessage:
        if entry.message is None or self._last is None:
            return entry
        values = self._values_of(self._key_of(self._last.exchange.greeting).role)
        return entry._replace(message=translated(entry.message, values.to_recording))

    def _sealing_key(self, key_id: int) -> bytes | None:
        return self._keys[key_id].key if key_id in self._keys else None

    def _session_of(self, key: DeviceKey) -> ClientSession:
        if key.key_id not in self._sessions:
            self._keys[key.key_id] = key
            self._sessions[key.key_id] = ClientSession(
                self._channel, key, self._entropy, secured=True, wire_log=WireLog()
            )
        return self._sessions[key.key_id]

    @property
    def spoken(self) -> list[tuple[DeviceKey, WireLog]]:
        """The frames of this run so far, of each key."""
        return [(self._keys[key_id], session.wire_log) for key_id, session in self._sessions.items()]

    def _values_of(self, role: Role) -> Values:
        return self._values.setdefault(role, Values(self._shared))


def _named(answer: Answer) -> str:
    """An answer by its kind, a refusal by its code."""
    code = getattr(answer.message, "code", None)
    return (
        answer.kind.name
        if code is None or answer.kind is Kind.RESPONSE
        else f"{answer.kind.name} {code.name}"
    )
