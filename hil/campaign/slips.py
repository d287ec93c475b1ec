"""What people do wrong at a pump that is in order: the deeds of `Life` that no fault causes [DOMAIN 8.6].

Each is what somebody would do who believes to do right; where the pump refuses, most try again with what was meant.
"""

from __future__ import annotations

from typing import Any

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.bedside import Unheard
from hil.campaign.conversation import simple_header
from hil.campaign.deed import Doing
from hil.campaign.program_boluses import RATE_NL_PER_DAY, header_of
from hil.programs.infusion_program import InfusionProgram
from hil.programs.warnings import PumpNow, warnings
from protocol.identifiers import BolusKind, ErrorCode, OnExpiry, RefillFlag, StopReason, TimeSetReason
from protocol.messages.bolus import BolusCommit, BolusPrepare, BolusPrepareReply
from protocol.messages.errors import ErrorReply
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet

DRUG_NG_PER_ML = 500_000
MEANT_NG_PER_DAY = (100_000, 300_000)
HOURS_S = 6 * 3_600


class Slips(Doing):
    """The errors of people; a part of `Life`."""

    def refill_of_another_concentration(self) -> None:
        """Somebody reads 2000 mcg/mL on a vial, or types it, where the program is of 500."""
        typed = self.random.choice((50_000, 1_000_000, 2_000_000))
        answer = self._refills(1, typed)
        self.sometimes("a refill of another concentration was refused", isinstance(answer, ErrorReply))
        if isinstance(answer, ErrorReply):
            self._refills(1, DRUG_NG_PER_ML)

    def refill_of_another_drug(self) -> None:
        """The number of the drug is another than the program's."""
        answer = self._refills(2, DRUG_NG_PER_ML)
        self.sometimes("a refill of another drug was refused", isinstance(answer, ErrorReply))

    def _refills(self, drug_id: int, concentration_ng_per_ml: int) -> Any:
        held_nl = self.talk.granted(GetReservoir()).reservoir_calc_nl
        flags = RefillFlag(0)
        refill = Refill(
            self.next_id(), held_nl, 19_000_000, drug_id, flags, concentration_ng_per_ml, 1_000_000
        )
        return self.talk.ask(refill)

    def program_of_another_drug(self) -> None:
        """The number of the drug is another than the reservoir's."""
        rev = self.status().program_rev
        verified = self.talk.stage(MEANT_NG_PER_DAY[0], DRUG_NG_PER_ML, base_rev=rev, drug_id=2)
        answer = self.talk.ask(ProgCommit(self.next_id(), rev, verified.staged_crc, start=True))
        self.sometimes("a program of another drug was refused", isinstance(answer, ErrorReply))

    def slip_of_ten_in_a_rate(self) -> None:
        """A decimal further: the pump refuses, or a programmer warns; no at first, and then yes all the same."""
        meant = self.random.choice(MEANT_NG_PER_DAY)
        typed = meant * 10 if self.random.random() < 0.5 else meant // 10
        rev, reservoir = self.status().program_rev, self.talk.granted(GetReservoir())
        active, wanted = (InfusionProgram.simple(dose, DRUG_NG_PER_ML, 1) for dose in (meant, typed))
        pump_now = PumpNow(active, reservoir.reservoir_calc_nl, reservoir.low_alarm_nl)
        verified = self.talk.stage(typed, DRUG_NG_PER_ML, base_rev=rev)
        if verified.refusals:
            self.sometimes("a slip of ten in a rate was refused")
            verified = self.talk.stage(meant, DRUG_NG_PER_ML, base_rev=rev)
        elif warnings(wanted, pump_now):
            self.passes(1, MS_PER_HOUR)  # no; what was staged stays
            self.sometimes("a warning was refused, and then accepted")
        self.talk.ask(ProgCommit(self.next_id(), rev, verified.staged_crc, start=True))

    def slip_in_an_interval(self) -> None:
        """Minutes for hours, or a decimal: of the periodic boluses, or of the time between those of a patient."""
        factor, divisor = self.random.choice(((1, 60), (1, 10), (10, 1)))
        typed_s, rev = max(3_601, HOURS_S * factor // divisor), self.status().program_rev
        periodic_s = HOURS_S * factor // divisor
        patient = PatientBlock(20_000, 600, typed_s, 40_000, 5)
        periodic = PeriodicBlock(50_000, 300, periodic_s, 10)
        blocks = self.random.choice(((patient, None), (None, periodic)))
        segments = (Segment(0, RATE_NL_PER_DAY),)
        verified = self.talk.stage_program(header_of(*blocks), segments, base_rev=rev)
        self.sometimes("a slip in an interval was refused", verified.refusals)
        self.sometimes("a slip in an interval was taken", not verified.refusals)
        self.talk.ask(ProgCommit(self.next_id(), rev, verified.staged_crc, start=True))

    def warned_of_a_clock(self) -> None:
        """The clock would go far: the pump asks, somebody says no, reads again, and confirms."""
        wall_s = self.random.randrange(0, 2**32)
        answer = self.talk.ask(TimeSet(self.next_id(), wall_s, 60, TimeSetReason.DRIFT, confirm=False))
        asked = isinstance(answer, ErrorReply) and answer.code is ErrorCode.CONFIRM
        self.sometimes("a clock that would go far was asked for, and then confirmed", asked)
        if asked:
            self.talk.wait(1)
            self.talk.ask(TimeSet(self.next_id(), wall_s, 60, TimeSetReason.DRIFT, confirm=True))

    def work_on_another_revision(self) -> None:
        """Somebody works with what was recorded of another pump, or of this one long ago."""
        by = self.random.choice((-1, 1, 40))
        rev = self.status().program_rev
        other_rev = max(0, rev + by)
        header = simple_header(MEANT_NG_PER_DAY[0], DRUG_NG_PER_ML)
        commands = (
            lambda: self.talk.stage_program(header, (Segment(0, 200_000),), base_rev=other_rev),
            lambda: self.talk.granted(BolusPrepare(BolusKind.BOLUS, 20_000, 1_800, other_rev)),
            lambda: self.talk.granted(Resume(self.next_id(), other_rev)),
        )
        for command in commands:
            try:
                command()
            except Unheard as refused:
                self.sometimes(
                    "work on another revision was refused", isinstance(refused.args[0], ErrorReply)
                )
            else:
                self.properties.hold("L3", other_rev == rev, f"work on revision {other_rev} granted at {rev}")

    def forget_to_start_again(self) -> None:
        """The pump is stopped for a while, and nobody starts it again."""
        minutes = self.random.choice((1, 60))
        self.talk.ask(Stop(self.next_id(), 60 * minutes, StopReason.MRI, OnExpiry.ALARM_ONLY))
        self.passes(2 * MS_PER_HOUR, 20 * MS_PER_HOUR, 3 * MS_PER_DAY)

    def forget_to_start_a_program(self) -> None:
        """A program is written into a stopped pump, and its start is not asked for."""
        self.talk.ask(Stop(self.next_id(), 3_600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
        rev = self.status().program_rev
        verified = self.talk.stage(MEANT_NG_PER_DAY[0], DRUG_NG_PER_ML, base_rev=rev)
        self.talk.ask(ProgCommit(self.next_id(), rev, verified.staged_crc, start=False))
        self.passes(2 * MS_PER_HOUR)

    def bolus_under_an_old_number(self) -> None:
        """A programmer that was restored from an old copy numbers its bolus as one that was given."""
        if not self.boluses:
            return
        rev = self.status().program_rev
        prepared = self.talk.ask(BolusPrepare(BolusKind.BOLUS, 20_000, 1_800, rev))
        if isinstance(prepared, BolusPrepareReply):
            number = self.random.choice(self.boluses)
            commit = BolusCommit(number, prepared.quantised_nl, 1_800, prepared.token, rev)
            answer = self.talk.ask(commit)
            self.sometimes("a bolus under an old number was refused", isinstance(answer, ErrorReply))
            self.passes(MS_PER_HOUR)


SLIPS_OF_PEOPLE = (
    "refill_of_another_concentration",
    "refill_of_another_drug",
    "program_of_another_drug",
    "slip_of_ten_in_a_rate",
    "slip_in_an_interval",
    "warned_of_a_clock",
    "work_on_another_revision",
    "forget_to_start_again",
    "forget_to_start_a_program",
    "bolus_under_an_old_number",
)
"""The deeds that are errors, by name."""
