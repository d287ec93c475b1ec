"""An entry of the log is 32 bytes that carry their own check, and reads as one line."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.codec.atoms import Malformed
from protocol.codec.layouts import codec_of, decode
from protocol.identifiers import ErrorCode, Role
from protocol.log.data import DATA_OF, BolusStartData
from protocol.log.entry import (
    CorruptEntry,
    LogEntry,
    actor_of,
    describe_actor,
    entry_is_intact,
    pack_data,
)
from protocol.log.types import Actor, DeliveryKind, LogFlag, LogType
from tests.support.for_each import for_each
from tests.unit.protocol.test_derived_codec import smallest

ENTRY = LogEntry(
    seq=12,
    t_mono_s=3_600,
    t_ms=250,
    type=LogType.BOLUS_START,
    actor=actor_of(3, Role.CLINICIAN, 2),
    flags=LogFlag.WALL_VALID,
    cmd_id=0x51,
    data=pack_data(BolusStartData(20_000, 600, DeliveryKind.BOLUS)),
)
LOCKED = "0c000000100e0000fa000204220251000000204e00005802000001000000"


def test_an_entry_has_32_bytes_and_comes_back() -> None:
    raw = ENTRY.pack()
    assert len(raw) == 32
    assert raw[:30].hex() == LOCKED
    assert LogEntry.unpack(raw) == ENTRY
    assert ENTRY.details() == BolusStartData(20_000, 600, DeliveryKind.BOLUS)


def test_the_check_is_crc_16_ccitt_false_over_30_bytes() -> None:
    crc = 0xFFFF
    raw = ENTRY.pack()
    for byte in raw[:30]:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    assert raw[30:] == crc.to_bytes(2, "little")


def test_every_flipped_bit_is_noticed() -> None:
    raw = ENTRY.pack()
    for bit in range(256):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not entry_is_intact(bytes(flipped))
        with pytest.raises(CorruptEntry):
            LogEntry.unpack(bytes(flipped))


@for_each("length", [0, 31, 33])
def test_an_entry_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed) as refused:
        LogEntry.unpack(bytes(length))
    assert refused.value.code is ErrorCode.LENGTH


@for_each("log_type", LogType)
def test_data_of_every_type_fits(log_type: LogType) -> None:
    size = codec_of(DATA_OF[log_type]).size
    assert size <= 12
    record: Any = decode(DATA_OF[log_type], smallest(DATA_OF[log_type]))
    entry = LogEntry(1, 2, 3, log_type, Actor.PUMP, data=pack_data(record))
    assert entry.details() == record
    assert LogEntry.unpack(entry.pack()) == entry


@for_each("log_type", [t for t in LogType if codec_of(DATA_OF[t]).size < 12])
def test_bytes_after_the_data_of_a_type_must_be_zero(log_type: LogType) -> None:
    record: Any = decode(DATA_OF[log_type], smallest(DATA_OF[log_type]))
    data = pack_data(record)[:11] + b"\x07"
    with pytest.raises(Malformed) as refused:
        LogEntry(1, 2, 3, log_type, Actor.PUMP, data=data).details()
    assert refused.value.code is ErrorCode.RESERVED_BITS


@for_each(
    ("actor", "words"),
    [
        (0xF0, "pump"),
        (0x00, "observer, key slot 0"),
        (0x37, "service, key slot 7"),
        (0x4F, "unknown actor 0x4f"),
    ],
)
def test_an_actor_in_words(actor: int, words: str) -> None:
    assert describe_actor(actor) == words
