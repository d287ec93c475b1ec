"""Keywords of a clinician's programmer, and of the patient's: what is asked of the pump, and what it says of itself."""

from __future__ import annotations

from enum import Enum
from pathlib import Path  # noqa: TC003 - Robot Framework reads the types of arguments
from typing import TYPE_CHECKING, ClassVar, Final

from hil.programmer.verdicts import NEVER_HAPPENED
from hil.programs.reading import read_program
from hil.robot.failures import Failure, KeywordLibrary, keyword
from hil.robot.quantities import DailyDose, Duration, Volume
from protocol.identifiers import AlarmFlag, AlarmId, Outcome, Role, State

if TYPE_CHECKING:
    from hil.robot.life import SuiteBench
    from protocol.messages.alarms import AlarmRow

NOTHING: Final = Volume(0)
TWO_DAYS: Final = Duration(2 * 86_400)


class DeliveredBy(Enum):
    """What of the delivered volume is meant: what a counter of the pump holds, or all of them."""

    ALL = "all"
    BASAL = "basal_nl"
    BOLUS = "bolus_nl"
    PATIENT = "patient_nl"
    PERIODIC = "periodic_nl"
    PRIME = "prime_nl"
    BRIDGE = "bridge_nl"


class ProgrammerKeywords(KeywordLibrary):
    """What a programmer does, and what the pump believes."""

    _suite: SuiteBench
    RUNNING: ClassVar = frozenset({Outcome.RUNNING, Outcome.DONE})

    def _last_frames(self) -> str:
        return self._suite.last_frames()

    @keyword
    def get_state(self) -> State:
        """Return the state of therapy, as ``RUN`` or ``STOP``."""
        return self._suite.programmer(Role.CLINICIAN).status().state

    @keyword
    def state_should_be(self, state: State) -> None:
        """Fail unless the state of therapy is this one."""
        status = self._suite.programmer(Role.CLINICIAN).status()
        if status.state is not state:
            raise Failure(f"the pump is in {status.state} ({status.state_reason}), and {state} is expected")

    @keyword
    def get_identity(self) -> str:
        """Return what answers, in one sentence: whether it is an emulated pump, its serial number and firmware."""
        from hil.identity_words import identity_of  # noqa: PLC0415 - for this keyword alone

        return identity_of(self._suite.programmer(Role.CLINICIAN).info())

    @keyword
    def give_bolus(self, volume: Volume, duration: Duration) -> int:
        """Give a bolus of this volume in this time, and return the number of the command.

        What became of it says `Command Outcome Should Be`. Fails where the pump refuses it or did not start it, and
        where nobody knows: then look before it is given again.

        | ${bolus} = | Give Bolus | 50 uL | 10 min |
        """
        done = self._suite.programmer(Role.CLINICIAN).bolus(volume_nl=volume, duration_s=duration)
        if done.outcome not in self.RUNNING:
            raise Failure(f"device: the pump took bolus {done.cmd_id} and its outcome is {done.outcome}")
        return done.cmd_id

    @keyword
    def ask_for_patient_bolus(self) -> Outcome:
        """Ask for a bolus with the patient's key, and return the outcome: ``RUNNING``, or ``REFUSED`` of one denied."""
        return self._suite.programmer(Role.PATIENT).patient_bolus().outcome

    @keyword
    def cancel_bolus(self) -> Volume:
        """End the bolus that runs, and return what was delivered of it."""
        return Volume(self._suite.programmer(Role.CLINICIAN).cancel_bolus().delivered_nl)

    @keyword
    def get_command_outcome(self, command: int) -> Outcome:
        """Return what became of a command, by its number, as the pump says: ``RUNNING``, ``DONE``, ``PARTIAL``..."""
        return self._suite.programmer(Role.CLINICIAN).query(command).outcome

    @keyword
    def command_outcome_should_be(self, command: int, outcome: Outcome) -> None:
        """Fail unless this became of a command, by its number."""
        found = self._suite.programmer(Role.CLINICIAN).query(command)
        if found.outcome is not outcome:
            never = found.outcome in NEVER_HAPPENED
            told = "never received" if never else f"{Volume(found.delivered_nl)} delivered"
            raise Failure(f"command {command} is {found.outcome} ({told}), and {outcome} is expected")

    @keyword
    def get_delivered(self, by: DeliveredBy = DeliveredBy.ALL) -> Volume:
        """Return the volume that the pump counts as delivered since it was made, in all or by one kind of delivery."""
        counters = self._suite.programmer(Role.CLINICIAN).delivery()
        kinds = [each for each in DeliveredBy if each is not DeliveredBy.ALL]
        wanted = kinds if by is DeliveredBy.ALL else [by]
        return Volume(sum(getattr(counters, each.value) for each in wanted))

    @keyword
    def delivered_should_be(
        self,
        volume: Volume,
        by: DeliveredBy = DeliveredBy.ALL,
        *,
        since: Volume = NOTHING,
        within: Volume = NOTHING,
    ) -> None:
        """Fail unless the pump counts this volume as delivered, beyond ``since`` and give or take ``within``.

        A board has delivered before: then ``since`` is what `Get Delivered` returned at the beginning.

        | ${before} = | Get Delivered | BOLUS |
        | ... |
        | Delivered Should Be | 50 uL | BOLUS | since=${before} |
        """
        found = Volume(self.get_delivered(by) - since)
        if abs(found - volume) > within:
            margin = f" within {within}" if within else ""
            raise Failure(f"{found} is counted as delivered by {by.name}, and {volume}{margin} is expected")

    @keyword
    def stop_pump(self, at_most: Duration = TWO_DAYS) -> int:
        """Stop all delivery, and return the number of the command; after ``at_most`` the pump raises an alarm."""
        return self._suite.programmer(Role.CLINICIAN).stop(at_most).cmd_id

    @keyword
    def resume_pump(self) -> int:
        """Start the active program again, and return the number of the command."""
        return self._suite.programmer(Role.CLINICIAN).resume().cmd_id

    @keyword
    def set_simple_program(self, dose: DailyDose) -> int:
        """Write and start a program of one dose a day of the drug in the pump, and return the command's number.

        | Set Simple Program | 300 mcg/day |
        """
        return self._suite.programmer(Role.CLINICIAN).set_simple_program(dose).cmd_id

    @keyword
    def write_program(self, file: Path) -> int:
        """Write and start the program of a TOML file (``pumpbench program write``), and return the command's number."""
        return self._suite.programmer(Role.CLINICIAN).write_program(read_program(file)).cmd_id

    @keyword
    def get_alarms(self) -> list[str]:
        """Return the names of the alarms that are on, critical ones first."""
        return [row.alarm_id.name for row in self._active()]

    @keyword
    def alarm_should_be_on(self, alarm: AlarmId) -> None:
        """Fail unless this alarm is on."""
        on = self.get_alarms()
        if alarm.name not in on:
            raise Failure(f"{alarm} is not on; on: {', '.join(on) or 'none'}")

    @keyword
    def no_alarm_should_be_on(self) -> None:
        """Fail where any alarm is on."""
        on = self.get_alarms()
        if on:
            raise Failure(f"no alarm is expected; on: {', '.join(on)}")

    @keyword
    def acknowledge_alarm(self, alarm: AlarmId) -> None:
        """Acknowledge an alarm that is on or latched."""
        self._suite.programmer(Role.CLINICIAN).acknowledge_alarm(alarm)

    def _active(self) -> list[AlarmRow]:
        rows = self._suite.programmer(Role.CLINICIAN).alarms().alarms
        return [row for row in rows if AlarmFlag.ACTIVE in row.flags]
