"""A pump of a cohort: implanted, refilled as a clinic refills, read with syringes, for a year; nothing else goes wrong.

All is said over the wire as a programmer says it: the expected volume is that of GET_RESERVOIR, the refill is a REFILL
with what somebody has read, and the next date is that of the low-reservoir alarm.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_S, PPM
from hil.campaign.bedside import Bedside
from hil.campaign.clinic import Syringe
from hil.campaign.conversation import Conversation, profile_of
from hil.campaign.deed import Deed, Event
from hil.campaign.measuring import Measuring
from hil.campaign.patient_watch import PatientWatch
from hil.campaign.properties import Properties
from hil.procedures.reservoir import check_refill
from hil.quantity_words import ml
from protocol.identifiers import RefillFlag
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir, Refill

if TYPE_CHECKING:
    from hil.campaign.clinic import Clinic
    from hil.campaign.life import Play
    from protocol.messages.reservoir import GetReservoirReply

WALL_AT_START_S: Final = 826_000_000
DRUG_ID: Final = 1
MONTHS_AT_DAYS: Final = {6: 183, 12: 365}
"""When all refills so far are counted together, as in Wesemann 2014."""


class CohortLife:
    """One pump, its patient and its clinic."""

    def __init__(self, seed: int, clinic: Clinic, play: Play) -> None:
        self.random = Random(seed)
        self.clinic = clinic
        accuracy_ppm = clinic.accuracy_ppm(self.random)
        dose_ng_per_day = self.random.randint(clinic.dose_ng_per_day_min, clinic.dose_ng_per_day_max)
        self.concentration_ng_per_ml = clinic.concentration_ng_per_ml(dose_ng_per_day)
        profile = profile_of(
            implant=Implant(
                dose_ng_per_day=dose_ng_per_day,
                filled_nl=clinic.fill_nl,
                concentration_ng_per_ml=self.concentration_ng_per_ml,
            ),
            wall_at_start_s=WALL_AT_START_S,
            accuracy_ppm=accuracy_ppm,
        )
        pump = Conversation.with_new_pump(profile, seed.to_bytes(4, "big")).pump
        pump.leave_frames_out()
        self.talk = Bedside(pump)
        if play.patient is not None:
            self.talk.patient = PatientWatch(pump, seed, play.patient)
        self.measuring = Measuring(self.talk)
        self.measured = self.measuring.measured
        self.properties = Properties(pump, play.watch, self.measuring.commanded)
        self.pairs: set[tuple[str, str]] = set()
        self.done: list[Deed] = []
        self.story: list[Event] = []
        self._seen = 0
        self._cmd_id = 0
        self._filled_nl = clinic.fill_nl
        self._filled_at_ms = 0
        self._emitted_nl_ppm = 0
        self._read_nl = self._programmed_nl = 0
        self._months = dict(MONTHS_AT_DAYS)
        self.measuring.note("accuracy_error_ppm", accuracy_ppm - PPM)

    def live(self) -> None:
        """The first fill, and refills until the days are over; then the pump goes on to the last ms of them."""
        ends_ms = self.clinic.days * MS_PER_DAY
        visit_ms = self.refill(first=True)
        while visit_ms < ends_ms:
            self._wait_until(visit_ms)
            visit_ms = self.refill()
        self._wait_until(ends_ms)

    def _wait_until(self, at_ms: int) -> None:
        """Let time pass, and settle what a number of months is at its end."""
        for months in [months for months, days in self._months.items() if days * MS_PER_DAY <= at_ms]:
            self.talk.wait_until(self._months.pop(months) * MS_PER_DAY)
            if self._programmed_nl:
                self._note_error(f"read_error_at_{months}_months_ppm", self._read_nl, self._programmed_nl)
        self.talk.wait_until(at_ms)
        self._look()

    def refill(self, *, first: bool = False) -> int:
        """Draw what is left, read it, fill and tell the pump; returns when the next one is booked.

        The first is that of the implantation: it leaves nothing behind and compares nothing.
        """
        talk, pump, clinic = self.talk, self.talk.pump, self.clinic
        before: GetReservoirReply = talk.granted(GetReservoir())
        left_nl = 0 if first else self.random.randint(0, clinic.left_behind_nl_max)
        held_nl = pump.truth().true_nl_ppm // PPM
        drawn_nl = pump.aspirate(max(0, held_nl - left_nl))
        measured_nl = Syringe(clinic, self.random).reading_nl(max(0, drawn_nl - clinic.unseen_nl))
        pump.fill(Syringe(clinic, self.random).volume_nl(clinic.fill_nl), self.concentration_ng_per_ml)
        self._cmd_id += 1
        told = talk.granted(
            Refill(
                self._cmd_id,
                measured_nl,
                clinic.fill_nl,
                DRUG_ID,
                RefillFlag(0),
                self.concentration_ng_per_ml,
                clinic.low_alarm_nl,
            )
        )
        volumes = f"{ml(measured_nl)} read, {ml(before.reservoir_calc_nl)} expected"
        self.story.append(
            Event(talk.now_ms, f"refill: {volumes}; filled to {ml(clinic.fill_nl)}", self._cmd_id)
        )
        self.done.append(Deed(self._cmd_id, "refill"))
        if not first:
            self._compare(before.reservoir_calc_nl, measured_nl, told.diff_nl)
        self._filled_nl, self._filled_at_ms = clinic.fill_nl, talk.now_ms
        self._emitted_nl_ppm = pump.truth().emitted_nl_ppm
        after: GetReservoirReply = talk.granted(GetReservoir())
        self.properties.hold("P9", after.low_t_mono_s <= after.empty_t_mono_s, after)
        low_in_ms = (after.low_t_mono_s - talk.granted(GetStatus()).t_mono_s) * MS_PER_S
        talk.takes_the_handset()  # and so the clinician's session is over
        self._look()
        return clinic.next_visit_ms(talk.now_ms, low_in_ms, self.random)

    def _compare(self, expected_nl: int, measured_nl: int, told_nl: int) -> None:
        """What syringe and balance say of the time since the last refill; `told_nl` is the difference by the pump."""
        programmed_nl = self._filled_nl - expected_nl
        emitted_nl_ppm = self.talk.pump.truth().emitted_nl_ppm - self._emitted_nl_ppm
        self.measuring.note("refill_interval_ms", self.talk.now_ms - self._filled_at_ms)
        self.measuring.note("programmed_at_refill_nl", programmed_nl)
        self._note_error("read_error_at_refill_ppm", self._filled_nl - measured_nl, programmed_nl)
        self._note_error("weighed_error_at_refill_ppm", emitted_nl_ppm // PPM, programmed_nl)
        if check_refill(self._filled_nl, expected_nl, measured_nl).investigate:
            self.measuring.note("refill_to_investigate_nl", told_nl)
        self._read_nl += self._filled_nl - measured_nl
        self._programmed_nl += programmed_nl

    def _note_error(self, name: str, given_nl: int, programmed_nl: int) -> None:
        self.measuring.note(name, round((given_nl - programmed_nl) * PPM / programmed_nl))

    def _look(self) -> None:
        """What must hold now."""
        self.talk.wait(0)
        happened = self.talk.trace[self._seen :]
        self._seen = len(self.talk.trace)
        self.measuring.look()
        self.properties.look(happened)
