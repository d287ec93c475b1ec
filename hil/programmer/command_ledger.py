"""Sends commands so that none is carried out twice, and finds out what became of each [SPEC 9].

How a command ends: `Executed`, the pump said what it did; `CommandRefused`, it said, secured, that it did nothing;
`RefusalLost`, it did, and that was learnt by asking; `NotExecuted`, it said that it never received it;
`OutcomeUnknown`, nobody can say, and until it is resolved only reading, QUERY, VOID, STOP and CANCEL are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hil.errors import (
    BenchLost,
    CommandRefused,
    DeviceError,
    DeviceRefused,
    LinkError,
    NotExecuted,
    OutcomeUnknown,
    RefusalLost,
    UsageError,
)
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.client_session import NoReply, Refused, Replied
from hil.programmer.encoding import encoded
from hil.programmer.log_reading import LogReader
from hil.programmer.recognition import Continuity, KnownPump, Recognition
from hil.programmer.requester import Requester, read_reply, session_is_gone
from hil.programmer.turn import Turn, in_turn
from hil.programmer.verdicts import (
    DID_NOT_HAPPEN,
    MOVED_NOTHING,
    NEVER_HAPPENED,
    contradiction_of,
    verdict_of,
    verdict_of_log,
)
from protocol.identifiers import Opcode, Outcome, StateChanged
from protocol.log.types import LogName
from protocol.messages.ledger import OWN_KEY, QueryCmd, QueryCmdReply, VoidCmd, VoidCmdReply
from protocol.registry import cmd_crc, command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.deadline import Deadline
    from protocol.messages.command import Request

Reply = TypeVar("Reply")

POLL_MS = 100  # between two QUERYs while the pump's own memory commit is under way [SPEC 9]
NO_CMD_ID = 0  # of a message that is not sent, and of a key that has sent none
RESENDS = 3  # of a command that the pump provably never received
COMPARE = "do not repeat the command; compare program, reservoir and log with your own records"


@dataclass(frozen=True, slots=True)
class Executed(Generic[Reply]):
    """A command that the pump accepted, and what it said of it. Without an answer it was learnt by QUERY.

    REFUSED: a patient's bolus that was denied, and nothing was done.
    """

    cmd_id: int
    opcode: Opcode
    outcome: Outcome
    delivered_nl: int
    uncertain_nl: int
    dup: bool
    answer: Reply | None

    @property
    def reply(self) -> Reply:
        """The pump's answer; UsageError if it was lost and the outcome was learnt by asking."""
        if self.answer is None:
            raise UsageError(
                f"the answer to {self.opcode.name} {self.cmd_id} was lost; its outcome {self.outcome.name} is known",
                advice="read the status instead",
            )
        return self.answer

    @property
    def seq(self) -> int:
        """The log entry that the answer names; UsageError as of `reply`."""
        reply: Any = self.reply
        return int(reply.result.seq)


def _executed(settled: FiledCommand, *, dup: bool, answer: Any) -> Executed[Any]:
    return Executed(
        settled.cmd_id,
        Opcode(settled.opcode),
        Outcome[settled.outcome],
        settled.delivered_nl,
        settled.uncertain_nl,
        dup,
        answer,
    )


class CommandLedger:
    """Gives out ids, sends commands under them, and finds out what became of each."""

    def __init__(self, requester: Requester, store: OutcomeStore) -> None:
        self.store = store
        self.turn = Turn()
        self.recognition = Recognition(requester, store)
        self.notices = self.recognition.notices
        self.found_out: list[FiledCommand] = []
        """Commands that were unknown, and of which it was found out that the pump has received them."""
        self._refused_for: list[FiledCommand] = []  # of found_out, those for which a command was refused
        self._requester = requester
        self._session = requester.session
        self._last_sent: tuple[int, int] | None = None  # memory and id

    @in_turn
    def resolve(self, deadline: Deadline | None = None) -> tuple[FiledCommand, ...]:
        """Find out what became of every command that is still open; returns what is filed of each now.

        OutcomeUnknown where one stays unknown, after all were tried. An observer has none.
        """
        if not self.recognition.may_command:
            return ()
        deadline = deadline or self._requester.deadline()
        known = self.recognition.know(deadline)
        resolved, unknown = [], None
        for filed in self.store.open_commands(known.memory_id):
            try:
                resolved.append(self._found_out(filed, self._resolved(known.memory_id, filed, deadline)))
            except OutcomeUnknown as error:
                unknown = unknown or error
        unknown = unknown or self._unknown_before(known)
        if unknown is not None:
            raise unknown
        return tuple(resolved)

    @in_turn
    def unknown(self) -> tuple[FiledCommand, ...]:
        """Commands to this pump of which nobody can say yet whether they were carried out."""
        known = self.recognition.know()
        before = self.store.commands_before(known.memory_id, known.serial)
        lost = tuple(filed for _, filed in before if filed.unknown)
        return self.store.unknown_commands(known.memory_id) + lost

    @in_turn
    def filed(self, cmd_id: int) -> FiledCommand | None:
        """What is on file here of a command to this pump; None where nothing is."""
        if not self.recognition.may_command:
            return None
        return self.store.command(self.recognition.know().memory_id, cmd_id)

    @in_turn
    def accept_unknown(self, cmd_id: int) -> None:
        """A human has consulted log and patient, and takes the outcome upon himself: it blocks no more."""
        encoded(QueryCmd(cmd_id))  # a number that no command has is said before anything is looked for
        known = self.recognition.know()
        here = [(known.memory_id, filed) for filed in self.store.unknown_commands(known.memory_id)]
        before = self.store.commands_before(known.memory_id, known.serial)
        for memory_id, filed in (*here, *(row for row in before if not row[1].final)):
            if filed.cmd_id == cmd_id:
                self.store.accept(memory_id, filed)
                settled = f"what became of {filed.name} "  # its notice would say to do what was done now
                self.notices[:] = [notice for notice in self.notices if not notice.startswith(settled)]
                return
        filed_now = self.store.command(known.memory_id, cmd_id)
        is_known = "" if filed_now is None else f": it is known to be {filed_now.outcome}"
        raise UsageError(f"command {cmd_id} is not one whose outcome is unknown{is_known}", advice="query it")

    @in_turn
    def query(self, cmd_id: int, key_id: int = OWN_KEY) -> QueryCmdReply:
        """What the pump's ledger says of a command; an own one is filed. OutcomeUnknown if it cannot be believed."""
        question = QueryCmd(cmd_id, key_id)
        encoded(question)
        deadline = self._requester.deadline()
        own = key_id in {OWN_KEY, self._session.key.key_id} and self.recognition.may_command
        known = self.recognition.know(deadline) if own else None
        reply = self._requester.request(question, deadline)
        if known is not None:
            self._file_or_refuse(known, cmd_id, reply)
        return reply

    @in_turn
    def void(self, cmd_id: int) -> VoidCmdReply:
        """Make sure that a command which never arrived never will be carried out.

        OutcomeUnknown, and nothing is sent, where the pump cannot be believed about an own command.
        """
        wanted = VoidCmd(cmd_id)
        encoded(wanted)
        deadline = self._requester.deadline()
        known = self.recognition.know(deadline)
        filed = self.store.command(known.memory_id, cmd_id)
        if filed is None:
            self._refuse_of_before(known, cmd_id, Outcome.VOIDED)
        elif not filed.final and not known.is_proven:
            self._believe(known, filed, Outcome.VOIDED)
        reply = self._requester.request(wanted, deadline)
        self._file_or_refuse(known, cmd_id, reply)
        return reply

    @in_turn
    def hold_against_file(self, cmd_id: int, outcome: Outcome, delivered_nl: int) -> None:
        """Compare what the pump has said of an own command with what is on file; OutcomeUnknown where they differ."""
        known = self.recognition.know()
        filed = self.store.command(known.memory_id, cmd_id)
        if filed is None:
            self._refuse_of_before(known, cmd_id, outcome)
        elif outcome != Outcome.TOO_OLD:
            self._refuse_what_contradicts(filed, outcome, delivered_nl)

    def _file_or_refuse(self, known: KnownPump, cmd_id: int, reply: QueryCmdReply | VoidCmdReply) -> None:
        """File what was said of an own command, and refuse to pass on what contradicts what was said before."""
        filed = self.store.command(known.memory_id, cmd_id)
        if filed is None:
            self._refuse_of_before(known, cmd_id, reply.outcome)
            if reply.outcome in DID_NOT_HAPPEN:
                self._doubt_of_the_unfiled(known, cmd_id, reply.outcome)
            return
        if not filed.final:
            self._file_verdict(known, filed, reply)
        elif (verdict := verdict_of(filed, reply)) is not None:
            self._refuse_what_contradicts(filed, verdict, reply.delivered_nl, reply.uncertain_nl)

    def _refuse_what_contradicts(
        self, filed: FiledCommand, outcome: Outcome, delivered_nl: int, uncertain_nl: int = 0
    ) -> None:
        """Raise OutcomeUnknown where a pump takes back what it has said of a command, or what a person accepted."""
        before = contradiction_of(filed, outcome, delivered_nl, uncertain_nl)
        if filed.accepted and outcome in MOVED_NOTHING:
            before = "you accepted it as unknown"
        if before:
            raise OutcomeUnknown(
                f"the pump answers {outcome.name} about {filed.name}, and {before}: "
                f"it has lost memory, and what was known before stands",
                cmd_id=filed.cmd_id,
                advice=COMPARE,
            )

    def _doubt_of_the_unfiled(self, known: KnownPump, cmd_id: int, outcome: Outcome) -> None:
        """Refuse to pass on, or at least qualify, that a command did not happen of which nothing is filed here."""
        if known.continuity is Continuity.LOST:
            raise OutcomeUnknown(
                f"the pump answers {outcome.name} about command {cmd_id}, and it has lost memory: {known.why}",
                cmd_id=cmd_id,
                advice=COMPARE,
            )
        why = "it was not sent from here, so nothing here would show that the pump has forgotten it"
        if cmd_id <= self.store.last_cmd_id(known.memory_id):
            why = "if it was sent from here, it is no more on file"
        elif known.continuity is Continuity.UNPROVEN:
            why = known.why
        self.notices.append(
            f"the pump answers {outcome.name} about command {cmd_id}, and nothing here can confirm it: {why}"
        )

    def _refuse_of_before(self, known: KnownPump, cmd_id: int, outcome: Outcome) -> None:
        """Refuse to pass on what a pump says of a command that it was sent before it lost its memory.

        Where the command was refused or never arrived, there is nothing that could be contradicted.
        """
        before = self.store.commands_before(known.memory_id, known.serial)
        of_note = (f for _, f in before if f.cmd_id == cmd_id and (f.unknown or f.confirmed or f.accepted))
        filed = next(of_note, None)
        if filed is None:
            return
        what = (
            "its outcome is not known"
            if filed.unknown or filed.accepted
            else f"it had answered {filed.outcome}"
        )
        raise OutcomeUnknown(
            f"{filed.name} was sent to this pump before it lost its memory, and {what}; "
            f"that it is {outcome.name} now says nothing of it",
            cmd_id=cmd_id,
            advice=COMPARE,
        )

    def _unknown_before(self, known: KnownPump) -> OutcomeUnknown | None:
        """The error of a command that may have been carried out, where the pump has lost its memory since."""
        before = self.store.commands_before(known.memory_id, known.serial)
        filed = next((filed for _, filed in before if filed.unknown), None)
        if filed is None:
            return None
        return self._cannot_be_found_out(filed, f"pump {known.serial} has lost the memory that it had then")

    @in_turn
    def execute(
        self, build: Callable[[int], Request[Reply]], *, volume_nl: int = 0, resend: bool = True
    ) -> Executed[Reply]:
        """Send what `build` makes of a new id; with `resend`, what provably never arrived again under another.

        UsageError, before an id is filed, where a field cannot carry its value.
        """
        wanted = build(NO_CMD_ID)
        encoded(wanted)
        deadline = self._requester.deadline()
        self._settle_before(wanted, deadline)
        return self._requester.again(
            lambda: self._execute_once(build, volume_nl, deadline),
            RESENDS if resend else 1,
            NotExecuted,
            deadline,
        )

    def _execute_once(
        self, build: Callable[[int], Request[Reply]], volume_nl: int, deadline: Deadline
    ) -> Executed[Reply]:
        known = self.recognition.know(deadline)
        if not self.recognition.is_first(known):
            raise BenchLost(
                f"nothing was sent: another pump is on this line than at the start, serial {known.serial}, memory "
                f"{known.memory_id:016x}",
                advice="look at the cable, and begin anew",
            )
        cmd_id = self.store.next_cmd_id(known.memory_id, known.last_cmd_id, known.serial)
        message = build(cmd_id)
        opcode = command_of(type(message)).opcode
        filed = FiledCommand(cmd_id, opcode, cmd_crc(opcode, message), volume_nl, known.last_seq)
        self.recognition.trust_from_here(known)
        self.store.name_pump(known.memory_id, known.serial)
        self.store.file(known.memory_id, filed)  # on the disk before a byte leaves
        self._last_sent = known.memory_id, cmd_id
        return self._sent(known, filed, message, deadline)

    def last_command(self) -> FiledCommand | None:
        """The last command with an id that this programmer sent, as it is filed now; None before the first."""
        return None if self._last_sent is None else self.store.command(*self._last_sent)

    def _sent(
        self, known: KnownPump, filed: FiledCommand, message: Request[Reply], deadline: Deadline
    ) -> Executed[Reply]:
        """Send a command that is on file, and find out what came of it."""
        opcode, cmd_id = Opcode(filed.opcode), filed.cmd_id
        try:
            answer = self._session.ask(opcode, encoded(message), deadline)
        except (BenchLost, LinkError) as error:
            raise self.is_unknown(filed, str(error)) from error
        match answer:
            case Replied(payload=answered):
                return self._accepted(known.memory_id, filed, message, answered, deadline)
            case Refused(error=refusal) if session_is_gone(refusal):
                self._session.forget_session()
                self.store.settle(known.memory_id, filed, Outcome.NEVER_RECEIVED.name)
                raise NotExecuted(
                    f"{filed.name} met no session", cmd_id=cmd_id, outcome=Outcome.NEVER_RECEIVED
                )
            case Refused(error=refusal) if refusal.state_changed == StateChanged.NO:
                self.store.settle(known.memory_id, filed, Outcome.REFUSED.name)
                self.recognition.read_anew()  # the last id of this key, which another programmer may have used
                raise CommandRefused(opcode, refusal, cmd_id=cmd_id)
            case Refused(error=refusal):
                return self._after_doubt(known.memory_id, filed, DeviceRefused(opcode, refusal).message)
            case NoReply(why=why):
                return self._after_doubt(known.memory_id, filed, why)

    def _accepted(
        self,
        memory_id: int,
        filed: FiledCommand,
        message: Request[Reply],
        payload: bytes,
        deadline: Deadline,
    ) -> Executed[Reply]:
        """The pump answered: file what it says. A commit still under way is asked for until it is done."""
        try:
            reply: Any = read_reply(message, payload)
        except DeviceError as error:
            return self._after_doubt(memory_id, filed, str(error))
        result = reply.result
        if result.outcome == Outcome.REFUSED:  # a patient's bolus that was denied: it used up no id
            settled = self.store.settle(memory_id, filed, Outcome.REFUSED.name)
            self.recognition.read_anew()
            return _executed(settled, dup=False, answer=reply)
        if result.outcome == Outcome.INTENT:
            settled = self._resolved(memory_id, filed, deadline)
        else:
            delivered_nl = getattr(reply, "delivered_nl", 0)
            settled = self.store.settle(memory_id, filed, result.outcome.name, delivered_nl)
        self.recognition.mark_answer(memory_id, filed.cmd_id if not result.dup else 0, result.seq)
        return _executed(settled, dup=bool(result.dup), answer=reply)

    def _after_doubt(self, memory_id: int, filed: FiledCommand, why: str) -> Executed[Any]:
        """No word that can be relied on: reconnect and ask what became of it."""
        settled = self._resolved(memory_id, filed, self._requester.deadline(), why)
        outcome = Outcome[settled.outcome]
        if outcome in NEVER_HAPPENED:
            raise NotExecuted(
                f"{filed.name} never reached the pump, and nothing was done",
                cmd_id=filed.cmd_id,
                outcome=outcome,
                advice="it is safe to try again",
            )
        if outcome == Outcome.REFUSED:
            raise RefusalLost(
                f"{filed.name} was refused by the pump, and nothing was done",
                cmd_id=filed.cmd_id,
                outcome=outcome,
                advice="read the status and try again",
            )
        return _executed(settled, dup=True, answer=None)

    @in_turn
    def request(self, message: Request[Reply], deadline: Deadline | None = None) -> Reply:
        """Ask, after what has to be known first [SPEC 9]; returns the reply. Errors as in `Requester.request`.

        OutcomeUnknown where the outcome of an earlier command is not known and the message may not be sent then.
        """
        encoded(message)
        deadline = deadline or self._requester.deadline()
        self._settle_before(message, deadline)
        return self._requester.request(message, deadline)

    def _settle_before(self, message: Request[Any], deadline: Deadline) -> None:
        """While an outcome is unknown only some things are allowed [SPEC 9]: find it out first, or say that it is.

        DeviceError, once, where it was found out that the pump has received it.
        """
        command = command_of(type(message))
        if command.while_unknown:
            return
        if self.store.has_open():
            known = self.recognition.know(deadline)
            for filed in self.store.unknown_commands(known.memory_id):
                self._found_out(filed, self._resolved(known.memory_id, filed, deadline))
            unknown = self._unknown_before(known)
            if unknown is not None:
                raise unknown
        if command.carries_cmd_id or command.opcode is Opcode.BOLUS_PREPARE:
            self.refuse_after_news()

    def refuse_after_news(self) -> None:
        """Raise DeviceError, once, where an unknown command was received after all: the next may be its repetition.

        Who takes it out of `found_out` has read it, and is not refused.
        """
        news = [filed for filed in self.found_out if filed not in self._refused_for]
        if not news:
            return
        self._refused_for += news
        names = ", ".join(
            f"{filed.name} was received by the pump after all, it is {filed.outcome}" for filed in news
        )
        raise DeviceError(
            f"nothing was sent: {names}",
            advice="if this is not a repetition of it, give the command again",
        )

    def _found_out(self, before: FiledCommand, now: FiledCommand) -> FiledCommand:
        """Say what has become of a command, where somebody may still believe something else; returns it."""
        ended_early = now.outcome in {Outcome.PARTIAL.name, Outcome.NOT_STARTED.name}
        if before.unknown or (ended_early and before.outcome != now.outcome):
            amount = f", {now.delivered_nl} nL delivered" if now.volume_nl and now.confirmed else ""
            more = f" and {now.uncertain_nl} nL uncertain" if now.uncertain_nl else ""
            self.notices.append(
                f"{now.name}, whose outcome was {before.outcome or 'not known'}, is "
                f"{now.outcome}{amount}{more}"
            )
        if before.unknown and now.confirmed:
            self.found_out.append(now)
        return now

    def _resolved(
        self, memory_id: int, filed: FiledCommand, deadline: Deadline, why: str = ""
    ) -> FiledCommand:
        """Ask for the outcome of one command until it is known; OutcomeUnknown at the deadline."""
        while not self._requester.passed(deadline):
            try:
                known = self.recognition.know(deadline)
                if known.memory_id != memory_id:
                    raise self.is_unknown(filed, "the pump has another memory now")
                reply = self._requester.request(QueryCmd(filed.cmd_id), deadline)
            except (BenchLost, LinkError) as error:
                raise self.is_unknown(filed, why or str(error)) from error
            settled = self._file_verdict(known, filed, reply)
            if reply.outcome == Outcome.TOO_OLD:  # also of one that was known to run: how did it end?
                return self._resolved_by_log(known, filed, deadline)
            if not settled.unknown:
                return settled
            self._session.wait(POLL_MS)
        raise self.is_unknown(filed, why or "the pump has not decided yet")

    def _resolved_by_log(self, known: KnownPump, filed: FiledCommand, deadline: Deadline) -> FiledCommand:
        """Too old for the pump's ledger: consult its log."""
        try:
            history = LogReader(
                lambda request: self._requester.request(request, deadline), LogName.MAIN, filed.after_seq + 1
            ).history()
        except (BenchLost, LinkError) as error:
            raise self.is_unknown(filed, str(error)) from error
        verdict = verdict_of_log(filed, self._session.key.role, history)
        if verdict is None:
            raise self._cannot_be_found_out(
                filed, "it is too old for the pump's ledger, and its log has no proof"
            )
        self._believe(known, filed, verdict.outcome, verdict.delivered_nl, verdict.uncertain_nl)
        return self.store.settle(
            known.memory_id, filed, verdict.outcome.name, verdict.delivered_nl, verdict.uncertain_nl
        )

    def _file_verdict(
        self, known: KnownPump, filed: FiledCommand, reply: QueryCmdReply | VoidCmdReply
    ) -> FiledCommand:
        """File what a QUERY says of a command: where its id was another's, this one never arrived.

        OutcomeUnknown where it cannot be believed.
        """
        verdict = verdict_of(filed, reply)
        self._believe(known, filed, verdict, reply.delivered_nl, reply.uncertain_nl)
        if verdict == Outcome.NEVER_RECEIVED and reply.outcome == Outcome.NEVER_RECEIVED:
            self._void_quietly(filed.cmd_id)
        if verdict is None:
            return filed
        if verdict in NEVER_HAPPENED:
            return self.store.settle(known.memory_id, filed, verdict.name)
        return self.store.settle(known.memory_id, filed, verdict.name, reply.delivered_nl, reply.uncertain_nl)

    def _believe(
        self,
        known: KnownPump,
        filed: FiledCommand,
        verdict: Outcome | None,
        delivered_nl: int = 0,
        uncertain_nl: int = 0,
    ) -> None:
        """Raise OutcomeUnknown where the pump's word about this command is not to be believed [SPEC 9]."""
        if known.continuity is Continuity.LOST:
            raise self._doubted(known.memory_id, filed, f"the pump has lost memory: {known.why}")
        if verdict is None:
            return
        if verdict in MOVED_NOTHING and known.continuity is Continuity.UNPROVEN:
            why = f"the pump says {verdict.name}, and cannot prove that it is the memory that it was: {known.why}"
            raise self._doubted(known.memory_id, filed, why)
        before = contradiction_of(filed, verdict, delivered_nl, uncertain_nl)
        if before:
            why = f"the pump contradicts itself: it says {verdict.name} now, and {before}"
            raise self._doubted(known.memory_id, filed, why)

    def _doubted(self, memory_id: int, filed: FiledCommand, why: str) -> OutcomeUnknown:
        """File that nobody can say, and why; what the pump had said of it before stays."""
        if filed.doubt != why:
            self.store.settle(
                memory_id, filed, filed.outcome, filed.delivered_nl, filed.uncertain_nl, doubt=why
            )
        return self._cannot_be_found_out(filed, why)

    def _cannot_be_found_out(self, filed: FiledCommand, why: str) -> OutcomeUnknown:
        """The error of a command that only a person can close."""
        return OutcomeUnknown(
            f"what became of {filed.name} cannot be found out ({why}); it may have been carried out",
            cmd_id=filed.cmd_id,
            advice=f"do not repeat it: consult patient and log, then say `pumpbench program accept {filed.cmd_id}`",
        )

    def _void_quietly(self, cmd_id: int) -> None:
        """NEVER_RECEIVED is final already; VOID makes it durable. If it gets lost, nothing is lost."""
        try:
            self._requester.request(VoidCmd(cmd_id))
        except (LinkError, BenchLost, DeviceRefused):
            self._session.forget_session()

    def is_unknown(self, filed: FiledCommand, why: str) -> OutcomeUnknown:
        """The error of a command whose outcome is asked for in another session, which begins with the next question."""
        self._session.forget_session()
        return OutcomeUnknown(
            f"what became of {filed.name} is not known ({why}); it may have been carried out",
            cmd_id=filed.cmd_id,
            advice="do not repeat it: run any command against this pump again and it is asked for first",
        )
