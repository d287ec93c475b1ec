"""What the program in the pump must remember of its therapy across a reset; one region of the memory.

Not the program itself (PROGRAM), nor what was delivered (the checkpoint, `counters`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from firmware_emu.units import MS_PER_S
from protocol.identifiers import OnExpiry, Role, State, StateReason, StopReason

NO_TICK = 0xFFFF_FFFF_FFFF_FFFF
NO_ROLE = 0xFF
_RECORD = struct.Struct("<BBBBBBIIIIQQII")
_LOG_SEQS_BYTES = 8


@dataclass(slots=True)
class TherapyRecord:
    """State of therapy. Ticks in ms of monotonic time; None where there is no such moment."""

    state: State = State.STOP
    reason: StateReason = StateReason.NEVER_PROGRAMMED
    stopped_by: Role | None = None
    stop_reason: StopReason = StopReason.CLINICAL
    on_expiry: OnExpiry = OnExpiry.ALARM_ONLY
    stop_expired: bool = False
    stopped_too_long: bool = False
    program_rev: int = 0
    status_rev: int = 0
    boot_count: int = 0
    last_program_wall_s: int = 0
    stopped_at_ms: int | None = None
    stop_expires_ms: int | None = None
    main_log_seq: int = 0
    security_log_seq: int = 0
    """The newest numbers of both logs: what did not land in its slot must give no other entry its number."""

    @property
    def stop_expires_s(self) -> int:
        """When the stop expires, as the wire has it: 0 where there is no such moment."""
        return 0 if self.stop_expires_ms is None else self.stop_expires_ms // MS_PER_S

    def pack(self) -> bytes:
        """Bytes of the region."""
        return _RECORD.pack(
            self.state,
            self.reason,
            NO_ROLE if self.stopped_by is None else self.stopped_by,
            self.stop_reason,
            self.on_expiry,
            self.stop_expired | self.stopped_too_long << 1,
            self.program_rev,
            self.status_rev & 0xFFFF_FFFF,
            self.boot_count,
            self.last_program_wall_s,
            NO_TICK if self.stopped_at_ms is None else self.stopped_at_ms,
            NO_TICK if self.stop_expires_ms is None else self.stop_expires_ms,
            self.main_log_seq,
            self.security_log_seq,
        )

    @classmethod
    def unpack(cls, data: bytes) -> TherapyRecord:
        """The record; ValueError where a field holds no value that this program could have written."""
        if len(data) == _RECORD.size - _LOG_SEQS_BYTES:  # as written before the numbers were kept
            data += bytes(_LOG_SEQS_BYTES)
        if len(data) != _RECORD.size:
            raise ValueError(f"therapy record has {len(data)} bytes, expected {_RECORD.size}")
        state, reason, by, stop_reason, expiry, flags, *counts, stopped, expires, main, security = (
            _RECORD.unpack(data)
        )
        program_rev, status_rev, boot_count, last_program_wall_s = counts
        return cls(
            state=State(state),
            reason=StateReason(reason),
            stopped_by=None if by == NO_ROLE else Role(by),
            stop_reason=StopReason(stop_reason),
            on_expiry=OnExpiry(expiry),
            stop_expired=bool(flags & 1),
            stopped_too_long=bool(flags & 2),
            program_rev=program_rev,
            status_rev=status_rev,
            boot_count=boot_count,
            last_program_wall_s=last_program_wall_s,
            stopped_at_ms=None if stopped == NO_TICK else stopped,
            stop_expires_ms=None if expires == NO_TICK else expires,
            main_log_seq=main,
            security_log_seq=security,
        )
