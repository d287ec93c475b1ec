"""What changes therapy: bolus, cancel, stop, resume, refill, and the clock and alarms that go with them.

A bolus is PREPARE, then COMMIT of exactly what the pump announced. STOP and CANCEL are sent again until they
have acted: doing them twice is doing them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import DeviceError, UsageError
from hil.programmer.staging import Staging
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    OnExpiry,
    RefillFlag,
    StopReason,
    TimeSetReason,
)
from protocol.messages.alarms import AlarmAck, AlarmAckReply
from protocol.messages.bolus import (
    BolusCancel,
    BolusCancelReply,
    BolusCommit,
    BolusCommitReply,
    BolusPrepare,
    BolusPrepareReply,
)
from protocol.messages.ledger import OWN_KEY
from protocol.messages.reservoir import Refill, RefillReply
from protocol.messages.stop import Resume, ResumeReply, Stop, StopReply
from protocol.messages.time import TimeSet, TimeSetReply

if TYPE_CHECKING:
    from hil.programmer.ledger import Executed

DEFAULT_MAX_STOP_S = 172_800  # 48 h [SPEC 6]


@dataclass(frozen=True, slots=True)
class PreparedBolus:
    """What was asked for and what the pump would deliver; its token lives 10 s."""

    volume_nl: int
    duration_s: int
    program_rev: int
    announced: BolusPrepareReply


class Therapy(Staging):
    """The commands of therapy."""

    def prepare_bolus(
        self,
        volume_nl: int,
        duration_s: int,
        *,
        kind: BolusKind = BolusKind.BOLUS,
        program_rev: int | None = None,
    ) -> PreparedBolus:
        """Ask whether a bolus would be accepted; DeviceRefused tells the nearest that would."""
        if program_rev is None:
            program_rev = self.status().program_rev
        announced = self.request(BolusPrepare(kind, volume_nl, duration_s, program_rev))
        if not 0 < announced.quantised_nl <= volume_nl:
            raise DeviceError(
                f"the pump announced {announced.quantised_nl} nL for a bolus of {volume_nl} nL",
                advice="do not commit it; check its firmware",
            )
        return PreparedBolus(volume_nl, duration_s, program_rev, announced)

    def commit_bolus(self, prepared: PreparedBolus) -> Executed[BolusCommitReply]:
        """Deliver what was prepared: the volume that the pump announced, once or not at all."""
        volume_nl = prepared.announced.quantised_nl
        return self._command(
            lambda cmd_id: BolusCommit(
                cmd_id, volume_nl, prepared.duration_s, prepared.announced.token, prepared.program_rev
            ),
            volume_nl=volume_nl,
            resend=False,  # its token died with the session; asking a human again is right
        )

    def bolus(self, volume_nl: int, duration_s: int) -> Executed[BolusCommitReply]:
        """PREPARE, then COMMIT."""
        return self.commit_bolus(self.prepare_bolus(volume_nl, duration_s))

    def cancel_bolus(
        self, target_cmd_id: int = 0, target_key_id: int = OWN_KEY
    ) -> Executed[BolusCancelReply]:
        """End a bolus now (0: the active one)."""
        key_id = self.key.key_id if target_key_id == OWN_KEY else target_key_id
        return self._command(lambda cmd_id: BolusCancel(cmd_id, target_cmd_id, key_id))

    def stop(
        self,
        max_stop_s: int = DEFAULT_MAX_STOP_S,
        *,
        reason: StopReason = StopReason.CLINICAL,
        on_expiry: OnExpiry = OnExpiry.ALARM_ONLY,
    ) -> Executed[StopReply]:
        """Stop all delivery. Allowed while another outcome is unknown; sent again until it has acted."""
        return self._command(lambda cmd_id: Stop(cmd_id, max_stop_s, reason, on_expiry))

    def resume(self, *, program_rev: int | None = None) -> Executed[ResumeReply]:
        """Start the active program again."""
        rev = self.status().program_rev if program_rev is None else program_rev
        return self._command(lambda cmd_id: Resume(cmd_id, rev))

    def refill(
        self,
        filled_nl: int,
        *,
        aspirated_nl: int,
        concentration_ng_per_ml: int | None = None,
        drug_id: int | None = None,
        low_alarm_nl: int | None = None,
        rinsed_twice: bool = False,
        staged_crc: int = 0,
    ) -> Executed[RefillReply]:
        """Tell the pump what the syringe did. What is not named stays as it is; `filled_nl` is the whole content."""
        if concentration_ng_per_ml is None or drug_id is None:
            active = self.program().header
            if concentration_ng_per_ml is None:  # 0 is a number, and a wrong one
                concentration_ng_per_ml = active.concentration_ng_per_ml
            drug_id = active.drug_id if drug_id is None else drug_id
        alarm_nl = self.reservoir().low_alarm_nl if low_alarm_nl is None else low_alarm_nl
        drug, concentration = drug_id, concentration_ng_per_ml
        flags = RefillFlag.RINSED_TWICE if rinsed_twice else RefillFlag(0)
        return self._command(
            lambda cmd_id: Refill(
                cmd_id, aspirated_nl, filled_nl, drug, flags, concentration, alarm_nl, staged_crc
            ),
            volume_nl=filled_nl,
            resend=not staged_crc,
        )

    def set_time(
        self,
        wall_s: int,
        tz_minutes: int,
        *,
        reason: TimeSetReason = TimeSetReason.DRIFT,
        confirm: bool = False,
    ) -> Executed[TimeSetReply]:
        """Set the wall clock (seconds since 2000-01-01 UTC). More than 120 s needs `confirm`."""
        return self._command(
            lambda cmd_id: TimeSet(cmd_id, wall_s, tz_minutes, reason, confirm),
        )

    def acknowledge_alarm(self, alarm_id: AlarmId, on_seq: int | None = None) -> AlarmAckReply:
        """Acknowledge an occurrence of an alarm: the one that is listed now, unless named."""
        if on_seq is None:
            rows = [row for row in self.alarms().alarms if row.alarm_id == alarm_id]
            if not rows:
                raise UsageError(
                    f"the alarm {alarm_id.name} is not there to be acknowledged", advice="read the alarms"
                )
            on_seq = rows[0].on_seq
        return self.request(AlarmAck(alarm_id, on_seq))
