"""An operator with a programmer, who gives commands and remembers what the programmer said of them.

What counts is the word: "delivered", "not delivered", "unknown". A programmer may be killed at any moment; its
state file stays, and the next one starts from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hil.errors import CommandRefused, NotExecuted, OutcomeUnknown, PumpbenchError
from hil.outcome_store import OutcomeStore
from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from protocol.identifiers import Opcode, Role
from protocol.link.development_keys import development_key
from tests.simulation.scenario import SHORTEST_S, Attempt, Violation, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.noise import FaultyLine
    from hil.outcome_store import FiledCommand
    from hil.programmer.command_ledger import Executed
    from hil.wire_log import WireLog
    from protocol.link.development_keys import DeviceKey
    from protocol.messages.bolus import BolusCommitReply

Result = TypeVar("Result")

GIVING = frozenset({Opcode.BOLUS_COMMIT, Opcode.PATIENT_BOLUS, Opcode.PRIME})
NOTHING_WAS_DONE = frozenset({"REFUSED", "NEVER_RECEIVED", "VOIDED", "NOT_STARTED"})


class Killed(BaseException):
    """The programmer's process died: no goodbye, no clean-up."""


class Operator:
    """One key, one state file, one line, and one programmer after another."""

    def __init__(
        self,
        world: World,
        *,
        key: DeviceKey | None = None,
        seed: int = 1,
        state_file: Path | None = None,
        programmer_class: type[Programmer] = Programmer,
    ) -> None:
        self.world = world
        self.key = key or development_key(Role.CLINICIAN)
        self.line: FaultyLine = world.new_line()
        self.store = OutcomeStore(state_file, key=self.key.key)
        self.denied_cmd_ids: dict[int, str] = {}
        self._seed = seed
        self._state_file = state_file
        self._programmer_class = programmer_class
        self._programmers = 0
        self._attempt_of: dict[int, Attempt] = {}
        self.programmer = self._new_programmer()

    @property
    def wire_log(self) -> WireLog:
        return self.programmer.wire_log

    def replace_programmer(self) -> None:
        """The old one is dead; start another on the same state file."""
        if self._state_file is not None:
            self.store.close()
            self.store = OutcomeStore(self._state_file, key=self.key.key)
        self.end.on_operation = None
        self.programmer = self._new_programmer()

    @property
    def end(self) -> Any:
        """The channel behind the faults."""
        return self.world.end_of(self.line)

    def tries(self, action: Callable[[Programmer], Result]) -> Result | PumpbenchError:
        """Do something; errors that are meant for people are part of life, all others are not."""
        try:
            return action(self.programmer)
        except PumpbenchError as error:
            self._note_error(error)
            return error
        finally:
            self.note_words()

    def gives_bolus(
        self, volume_nl: int, *, shortest_s: int = SHORTEST_S
    ) -> Executed[BolusCommitReply] | PumpbenchError:
        """PREPARE and COMMIT under a new attempt; the attempt knows what was announced and what was said."""
        attempt = self.world.new_attempt(shortest_s=shortest_s)

        def act(programmer: Programmer) -> Executed[BolusCommitReply]:
            prepared = programmer.prepare_bolus(volume_nl, attempt.duration_s)
            attempt.announced_nl = prepared.announced.quantised_nl
            return programmer.commit_bolus(prepared)

        return self.gives(attempt, act)

    def gives(self, attempt: Attempt, act: Callable[[Programmer], Result]) -> Result | PumpbenchError:
        """What an attempt does, whatever delivers it; what is filed meanwhile is that attempt's."""
        filed_before = set(self._filed())
        try:
            return self.tries(act)
        finally:
            self._recognise(attempt, filed_before)
            self.note_words()

    def note_words(self) -> None:
        """What the state file says of each command; a "no" is remembered for ever."""
        for cmd_id, filed in self._filed().items():
            attempt = self._attempt_of.get(cmd_id)
            if filed.outcome in NOTHING_WAS_DONE:
                self.denied_cmd_ids[cmd_id] = filed.outcome
                if attempt is not None:
                    attempt.denied = filed.outcome
            elif cmd_id in self.denied_cmd_ids:
                raise Violation(
                    f"command {cmd_id} was {self.denied_cmd_ids[cmd_id]} and is {filed.outcome} now"
                )
        self.world.check()

    def attempt_of(self, cmd_id: int) -> Attempt | None:
        """Which bolus a command id was for."""
        return self._attempt_of.get(cmd_id)

    def filed(self) -> tuple[FiledCommand, ...]:
        """All commands in the state file."""
        return tuple(self._filed().values())

    def _filed(self) -> dict[int, FiledCommand]:
        return {c.cmd_id: c for memory in self.store._memories.values() for c in memory.commands.values()}

    def _recognise(self, attempt: Attempt, filed_before: set[int]) -> None:
        """What was filed since, as what delivers, is this attempt."""
        for cmd_id, filed in self._filed().items():
            if cmd_id not in filed_before and filed.opcode in GIVING:
                self._attempt_of[cmd_id] = attempt

    def _note_error(self, error: PumpbenchError) -> None:
        """An exception is a word too, and must agree with the state file."""
        if not isinstance(error, CommandRefused | NotExecuted | OutcomeUnknown):
            return
        filed = self._filed().get(error.cmd_id)
        said_no = isinstance(error, CommandRefused | NotExecuted)
        if filed is not None and said_no and filed.outcome not in NOTHING_WAS_DONE:
            raise Violation(f"the programmer says {error}, its state file {filed}")

    def _new_programmer(self) -> Programmer:
        self._programmers += 1
        return self._programmer_class(
            self.line,
            key=self.key,
            store=self.store,
            entropy=SeededEntropy(f"{self._seed} {self.key.key_id} {self._programmers}"),
            secured=self.world.profile.model.secured,
        )
