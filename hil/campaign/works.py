"""A procedure with a fault in it: deeds of `Life` that begin a work, and see whether the fault takes effect in it."""

from __future__ import annotations

from firmware_emu.controller.events import LogWritten
from firmware_emu.units import MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import bridged, simple_header
from hil.campaign.life_faults import PROVOKED
from hil.campaign.pairs import WORKS
from hil.campaign.program_boluses import RATE_NL_PER_DAY, header_of
from hil.campaign.world import World
from protocol.identifiers import BolusKind, OnExpiry, RefillFlag, StopReason
from protocol.messages.bolus import BolusCommit, BolusPrepare, Prime
from protocol.messages.program import PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Stop


class Works(World):
    """The deeds in which a fault meets a procedure; a part of `Life`."""

    def pair(self) -> None:
        """After a check-up begin a work, let the fault be, and see whether it took effect meanwhile."""
        fault, work = self.drawn("fault", None), self.drawn("work", None)
        self.tried(self.check_up)
        self.look()
        row = WORKS[work]
        if row.begins is not None:
            getattr(self, row.begins)()
        if row.seen is not None and not row.seen(self.talk.pump):
            return
        seen, effects = len(self.talk.trace), self.effects_of(fault)
        self.inject(fault)
        in_work = row.then is None
        if row.then is not None:
            self.tried(getattr(self, row.then))
            logged = {
                entry.event.log_type
                for entry in self.talk.trace[seen:]
                if isinstance(entry.event, LogWritten)
            }
            in_work = row.logs is None or row.logs in logged or self.effects_of(fault) > effects
        self.tried(getattr(self, PROVOKED[fault].by))
        if in_work and self.effects_of(fault) > effects:
            self.pairs.add((fault, work))

    def effects_of(self, name: str) -> int:
        """How often a fault has taken effect by now."""
        self.talk.pump.truth()  # turns what is due
        return next(each.effects for each in self.talk.pump.faults() if each.fault.name == name)

    def short_bolus(self) -> None:
        self._prepared(BolusKind.BOLUS, BolusCommit)

    def short_prime(self) -> None:
        self._prepared(BolusKind.PRIME, Prime)

    def _prepared(self, kind: BolusKind, command: type) -> None:
        rev = self.status().program_rev
        prepared = self.talk.granted(BolusPrepare(kind, 60_000, 3_600, rev))
        self.talk.granted(command(self.fresh_id(), prepared.quantised_nl, 3_600, prepared.token, rev))
        self.boluses.append(self.cmd_id)

    def patients_program(self) -> None:
        """A program that lets the patient ask for a bolus, from an hour on."""
        self._runs(PatientBlock(60_000, 3_600, 3_601, 86_400, 5), None)

    def patients_bolus(self) -> None:
        self.patients_program()
        self.talk.wait(3_601 * MS_PER_S)
        self.ask_for_bolus()

    def periodic_bolus(self) -> None:
        self._runs(None, PeriodicBlock(60_000, 3_600, 30_000, 600))
        self.talk.wait(700 * MS_PER_S)

    def _runs(self, patient: PatientBlock | None, periodic: PeriodicBlock | None) -> None:
        rev = self.status().program_rev
        segments = (Segment(0, RATE_NL_PER_DAY),)
        crc = self.talk.stage_program(header_of(patient, periodic), segments, base_rev=rev).staged_crc
        self.talk.granted(ProgCommit(self.fresh_id(), rev, crc, start=True))

    def bridge_under_way(self) -> None:
        rev = self.status().program_rev
        staged = bridged((simple_header(100_000, 500_000), (Segment(0, 200_000),)), 300_000, 1_500_000)
        crc = self.talk.stage_program(*staged, base_rev=rev).staged_crc
        self.talk.granted(ProgCommit(self.fresh_id(), rev, crc, start=True))
        self.talk.wait(MS_PER_MINUTE)

    def stop_for_an_hour(self) -> None:
        self.talk.granted(Stop(self.fresh_id(), 3_600, StopReason.MRI, OnExpiry.ALARM_ONLY))

    def run_empty(self) -> None:
        """A syringe draws what is believed to be there: the pump calls, and runs on at its lowest rate or stands."""
        self.talk.granted(Refill(self.fresh_id(), 0, 0, 1, RefillFlag(0), 500_000, 0))
