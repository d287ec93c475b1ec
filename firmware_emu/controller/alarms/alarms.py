"""Which alarms are active and which are latched: state and arithmetic, no events, no log.

What an alarm is stands in `alarm_table`, what is heard of it in `tones`.

*Active* (the condition lasts) and *latched* (it occurred, and nobody has acknowledged it since) are separate bits. A
non-critical alarm is silenced until its condition begins anew; a critical one until the session ends or half an hour
has passed, so that no lost session leaves it silent [DOMAIN 3.7].
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from firmware_emu.controller.alarms.alarm_table import ALARMS, Remedy
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.units import MS_PER_MINUTE
from protocol.identifiers import AlarmClass, AlarmFlag, AlarmId

CRITICAL_SILENCE_MAX_MS: Final = 30 * MS_PER_MINUTE  # the life of a session [SPEC 4]
_TICK_BYTES: Final = 6
_RECORD: Final = struct.Struct("<BBB6sII")
_ALL_FLAGS: Final = AlarmFlag.ACTIVE | AlarmFlag.LATCHED | AlarmFlag.SILENCED


@dataclass(slots=True)
class Occurrence:
    """The last time that a condition began. `tone_from_ms` is when its signal starts, or starts again."""

    alarm_id: AlarmId
    on_seq: int
    on_ms: int
    value: int
    cause: int
    active: bool
    latched: bool
    silenced: bool
    tone_from_ms: int

    @property
    def alarm_class(self) -> AlarmClass:
        """How urgent it is to the patient."""
        return ALARMS[self.alarm_id].alarm_class

    @property
    def sounds(self) -> bool:
        """Whether it has a signal, now or from `tone_from_ms` on."""
        lasting = self.active or (self.latched and ALARMS[self.alarm_id].latching)
        return lasting and not self.silenced


class Acknowledged(NamedTuple):
    """What an acknowledgement did; `silenced_until_ms` None: until the condition begins anew."""

    still_active: bool
    silenced_until_ms: int | None


@dataclass(slots=True)
class Alarms:
    """The pump's alarms, each with its last occurrence; an alarm without one has never been."""

    occurrences: dict[AlarmId, Occurrence] = field(default_factory=dict)
    active_mask: int = 0
    latched_mask: int = 0
    critical_active: bool = False
    """A critical condition lasts: no bolus [DOMAIN 6.1, SR-10]."""
    sounds_from_ms: dict[AlarmClass, int] = field(default_factory=dict)
    """By class, the tick from which on it sounds, each interval; nothing for a class that is silent.

    It stays while any alarm of the class sounds, whichever began it: where one ends and another lasts, the next tone
    is an interval after the last one and no later [DOMAIN SR-55, P7].
    """

    def is_active(self, alarm_id: AlarmId) -> bool:
        """Whether the condition lasts."""
        return bool(self.active_mask >> alarm_id & 1)

    def is_latched(self, alarm_id: AlarmId) -> bool:
        """Whether it occurred and is not acknowledged since, or is one that only its remedy unlatches."""
        return bool(self.latched_mask >> alarm_id & 1)

    def began_ms(self, alarm_id: AlarmId) -> int | None:
        """The tick at which its last occurrence began; None where it never occurred."""
        occurrence = self.occurrences.get(alarm_id)
        return None if occurrence is None else occurrence.on_ms

    def raise_(self, alarm_id: AlarmId, tick_ms: int, on_seq: int, value: int = 0, cause: int = 0) -> bool:
        """Begin an occurrence; returns False, and does nothing, where the condition is active already."""
        if self.is_active(alarm_id):
            return False
        momentary = ALARMS[alarm_id].momentary
        if self.occurrences.pop(alarm_id, None) is not None:
            self._count(tick_ms)  # its signal begins anew with it
        self.occurrences[alarm_id] = Occurrence(
            alarm_id,
            on_seq,
            tick_ms,
            saturated_u32(value),
            cause,
            active=not momentary,
            latched=True,
            silenced=False,
            tone_from_ms=tick_ms,
        )
        self._count(tick_ms)
        return True

    def clear(self, alarm_id: AlarmId, tick_ms: int) -> bool:
        """End the condition; returns False where it was not active."""
        if not self.is_active(alarm_id):
            return False
        self.occurrences[alarm_id].active = False
        self._count(tick_ms)
        return True

    def remedied(self, remedy: Remedy, tick_ms: int) -> tuple[AlarmId, ...]:
        """End the alarms that this remedy ends; returns those whose condition was active."""
        ended = []
        for alarm_id, occurrence in sorted(self.occurrences.items()):
            row = ALARMS[alarm_id]
            if row.remedy is not remedy:
                continue
            if occurrence.active:
                ended.append(alarm_id)
            occurrence.active = False
            occurrence.latched = occurrence.latched and not row.remembered
        self._count(tick_ms)
        return tuple(ended)

    def acknowledge(
        self, alarm_id: AlarmId, on_seq: int, tick_ms: int, *, by_clinician: bool = True
    ) -> Acknowledged | None:
        """Acknowledge an occurrence that somebody has seen; None where it is not the last one of this alarm."""
        occurrence = self.occurrences.get(alarm_id)
        if occurrence is None or occurrence.on_seq != on_seq:
            return None
        row = ALARMS[alarm_id]
        occurrence.latched = occurrence.latched and (
            row.remembered or (row.for_clinician and not by_clinician)
        )
        if occurrence.alarm_class is AlarmClass.CRITICAL and occurrence.active:
            occurrence.tone_from_ms = tick_ms + CRITICAL_SILENCE_MAX_MS
        else:
            occurrence.silenced = True
        self._count(tick_ms)
        until_ms = None if occurrence.silenced else occurrence.tone_from_ms
        return Acknowledged(occurrence.active, until_ms)

    def end_session(self, tick_ms: int) -> None:
        """Let what lasts sound again, because the session in which it was silenced is over."""
        for occurrence in self.occurrences.values():
            occurrence.tone_from_ms = min(occurrence.tone_from_ms, max(tick_ms, occurrence.on_ms))
        self._count(tick_ms)

    def listed(self, tick_ms: int) -> tuple[tuple[Occurrence, AlarmFlag], ...]:
        """All that are active or latched, critical ones first, each with its flags at `tick_ms`."""
        shown = [each for each in self.occurrences.values() if each.active or each.latched]
        shown.sort(key=lambda each: (ALARMS[each.alarm_id].alarm_class, each.alarm_id))
        return tuple((each, _flags(each, tick_ms)) for each in shown)

    def pack(self) -> bytes:
        """A record for each alarm that has been, without a critical one's silence, which ends with the session."""
        return b"".join(_packed(occurrence) for _, occurrence in sorted(self.occurrences.items()))

    @classmethod
    def unpack(cls, data: bytes) -> Alarms:
        """The alarms as they were packed; ValueError for bytes that this program never wrote."""
        if len(data) % _RECORD.size:
            raise ValueError(f"alarms in {len(data)} bytes, {_RECORD.size} each")
        alarms = cls()
        for number, flags, cause, tick, on_seq, value in _RECORD.iter_unpack(data):
            alarm_id = AlarmId(number)
            if flags > _ALL_FLAGS or alarm_id not in ALARMS:
                raise ValueError(f"alarm {alarm_id.name} with flags {flags:#x}")
            bits = AlarmFlag(flags)
            on_ms = int.from_bytes(tick, "little")
            alarms.occurrences[alarm_id] = Occurrence(
                alarm_id,
                on_seq,
                on_ms,
                value,
                cause,
                active=AlarmFlag.ACTIVE in bits,
                latched=AlarmFlag.LATCHED in bits,
                silenced=AlarmFlag.SILENCED in bits,
                tone_from_ms=on_ms,
            )
        alarms._count(0)
        return alarms

    def _count(self, tick_ms: int) -> None:
        self.active_mask = sum(1 << each.alarm_id for each in self.occurrences.values() if each.active)
        self.latched_mask = sum(1 << each.alarm_id for each in self.occurrences.values() if each.latched)
        self.critical_active = any(
            each.active and each.alarm_class is AlarmClass.CRITICAL for each in self.occurrences.values()
        )
        before, self.sounds_from_ms = self.sounds_from_ms, {}
        for each in self.occurrences.values():
            if each.sounds:
                earliest_ms = self.sounds_from_ms.get(each.alarm_class, each.tone_from_ms)
                self.sounds_from_ms[each.alarm_class] = min(earliest_ms, each.tone_from_ms)
        for alarm_class, from_ms in before.items():
            if max(from_ms, self.sounds_from_ms.get(alarm_class, tick_ms + 1)) <= tick_ms:
                self.sounds_from_ms[alarm_class] = from_ms  # it sounded, and goes on


def _bits(occurrence: Occurrence) -> AlarmFlag:
    flags = AlarmFlag(0)
    if occurrence.active:
        flags |= AlarmFlag.ACTIVE
    if occurrence.latched:
        flags |= AlarmFlag.LATCHED
    if occurrence.silenced:
        flags |= AlarmFlag.SILENCED
    return flags


def _flags(occurrence: Occurrence, tick_ms: int) -> AlarmFlag:
    silent = occurrence.silenced or tick_ms < occurrence.tone_from_ms
    return _bits(occurrence) | (AlarmFlag.SILENCED if silent else AlarmFlag(0))


def _packed(occurrence: Occurrence) -> bytes:
    tick = occurrence.on_ms.to_bytes(_TICK_BYTES, "little")
    return _RECORD.pack(
        occurrence.alarm_id, _bits(occurrence), occurrence.cause, tick, occurrence.on_seq, occurrence.value
    )
