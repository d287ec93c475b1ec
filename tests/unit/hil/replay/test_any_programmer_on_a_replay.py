"""Whatever a programmer asks a replay, and in whatever order: nothing that it did not order ever looks done."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hil.outcome_store import OutcomeStore
from hil.programmer.client_session import Refused, Replied
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from hil.replay.channel import ReplayChannel, ReplayLine
from hil.replay.conversation import read_conversation
from hil.replay.device import OnMiss, ReplayDevice
from hil.replay.run_ledger import DID_NOTHING, WAS_CARRIED_OUT
from protocol.codec.layouts import decode, encode
from protocol.identifiers import Activity, Opcode, Outcome, StateChanged, StopReason
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.reading import GetDelivery, GetStatus, GetStatusReply
from protocol.messages.stop import Stop
from protocol.registry import cmd_crc, command_of
from tests.support.soak import rounds_of
from tests.support.sometimes import reaches, sometimes
from tests.unit.hil.replay.scripts import BOLUS_NL, BOLUS_S

if TYPE_CHECKING:
    from pathlib import Path

ASKED_IN_A_ROUND = 25
IDS = range(1, 6)


class AnyProgrammer:
    """Asks what comes to its mind, and holds each answer against what it was told before."""

    def __init__(self, path: Path, random: Random) -> None:
        conversation = read_conversation(path)
        commands = [each for each in conversation.exchanges if each.changed_the_ledger]
        self.recorded = {each.opcode: each.request for each in commands}
        (prepare,) = [each.answer for each in conversation.exchanges if each.opcode == Opcode.BOLUS_PREPARE]
        assert prepare is not None
        self.token = prepare.message.token
        self.random = random
        on_miss = random.choice([*OnMiss, OnMiss.REFUSE, OnMiss.NEAREST])
        self.line = ReplayLine(
            ReplayDevice(conversation, SeededEntropy(random.random().hex()), on_miss=on_miss)
        )
        self.accepted: dict[int, int] = {}
        """Check values of commands that were said to be carried out, by their ids."""
        self.voided: set[int] = set()
        self.done: set[int] = set()
        """Opcodes of the recorded commands that were carried out: the visit has one of each."""
        self.pump = self._programmer()

    def _programmer(self) -> Programmer:
        entropy = SeededEntropy(self.random.random().hex())
        return Programmer(ReplayChannel(self.line), store=OutcomeStore(), entropy=entropy)

    def live(self) -> None:
        for _ in range(ASKED_IN_A_ROUND):
            if self.random.random() < 0.1:
                self.pump = self._programmer()
            if self.random.random() < 0.1:
                self._ask_nonsense()
            request = self._request()
            self._check(request, self._ask(request))

    def _request(self) -> Any:
        random, cmd_id = self.random, self.random.choice(IDS)
        volume_nl = random.choice([BOLUS_NL, BOLUS_NL, 2 * BOLUS_NL])
        token = random.choice([self.token, self.token, 1])
        return random.choice(
            [
                GetStatus(),
                GetDelivery(),
                BolusPrepare(1, volume_nl, BOLUS_S, 1),  # type: ignore[arg-type]
                BolusCommit(cmd_id, volume_nl, BOLUS_S, token, 1),
                BolusCommit(cmd_id, BOLUS_NL, BOLUS_S, self.token, 1),
                BolusCancel(cmd_id, 0, 3),
                Prime(cmd_id, volume_nl, BOLUS_S, token, 1),
                Stop(cmd_id, 3_600, StopReason.CLINICAL),
                QueryCmd(cmd_id),
                QueryCmd(cmd_id),
                VoidCmd(cmd_id),
            ]
        )

    def _ask(self, request: Any) -> Any:
        pump = self.pump
        pump.requester.ensure_session(pump.requester.deadline())
        heard = pump.session.ask(command_of(type(request)).opcode, encode(request), pump.requester.deadline())
        match heard:
            case Replied(payload=payload):
                return decode(request.reply_class(), payload)
            case Refused(error=error):
                return error
        raise AssertionError(f"{request} was not answered: {heard}")

    def _ask_nonsense(self) -> None:
        """A request of any opcode but that of the end of a session, with any payload, is answered by something."""
        pump, opcode = (
            self.pump,
            self.random.choice([each for each in range(256) if each != Opcode.END_SESSION]),
        )
        pump.requester.ensure_session(pump.requester.deadline())
        payload = self.random.randbytes(self.random.choice([0, 4, 10, 13, 20]))
        heard = pump.session.ask(opcode, payload, pump.requester.deadline())
        assert isinstance(heard, Replied | Refused), (opcode, payload)

    def _check(self, request: Any, answer: Any) -> None:
        if isinstance(answer, ErrorReply):
            assert answer.state_changed == StateChanged.NO, (request, answer)
        elif isinstance(request, QueryCmd | VoidCmd):
            self._check_word(request, answer)
        elif isinstance(answer, GetStatusReply):
            self._check_status(answer)
        elif hasattr(answer, "result"):
            self._check_command(request, answer)

    def _check_word(self, request: QueryCmd | VoidCmd, answer: Any) -> None:
        if request.cmd_id in self.accepted:
            assert answer.outcome in WAS_CARRIED_OUT, (request, answer)
            assert answer.cmd_crc == self.accepted[request.cmd_id]
            sometimes("a replay tells of a command that it has carried out")
        else:
            assert answer.outcome in DID_NOTHING, (request, answer)
            assert answer.delivered_nl == answer.uncertain_nl == 0
        if answer.outcome is Outcome.VOIDED:
            self.voided.add(request.cmd_id)

    def _check_status(self, status: GetStatusReply) -> None:
        boluses = {0, *self.accepted}
        assert status.bolus_cmd_id in boluses
        assert status.last_cmd_id in boluses | self.voided
        assert not (status.activity & Activity.BOLUS and not self.accepted)
        if status.bolus_cmd_id:
            sometimes("a replay shows the bolus that it has carried out")

    def _check_command(self, request: Any, answer: Any) -> None:
        opcode = command_of(type(request)).opcode
        crc = cmd_crc(opcode, request)
        assert opcode in self.recorded, f"{request} was not recorded, and was answered {answer}"
        assert request == self.recorded[opcode]._replace(cmd_id=request.cmd_id)
        if answer.result.dup and self.accepted.get(request.cmd_id) == crc:
            sometimes("a replay answers a repeated command")
            return
        assert opcode not in self.done, f"{request} was recorded once"
        self.done.add(opcode)
        if request.cmd_id <= max({0, *self.accepted, *self.voided}):
            assert opcode == Opcode.BOLUS_CANCEL, f"{request} has an id that was used up"
            assert answer.result.dup
            sometimes("a replay cancels under an id that cannot be entered")
        else:
            assert not answer.result.dup
            self.accepted[request.cmd_id] = crc


@reaches(
    "a replay tells of a command that it has carried out",
    "a replay shows the bolus that it has carried out",
    "a replay answers a repeated command",
    "a replay cancels under an id that cannot be entered",
)
def test_nothing_that_was_not_recorded_looks_done_and_nothing_done_looks_undone(visit_file: Path) -> None:
    for number in range(rounds_of("programmers on a replay", 3_000, 40)):
        AnyProgrammer(visit_file, Random(number)).live()
