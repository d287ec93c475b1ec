"""The derived codec reads and writes what the layouts declare, and refuses everything else."""

from __future__ import annotations

from typing import Any, NamedTuple

import construct
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from protocol.codec.atoms import U8, Count, Malformed, Mapped, NotEncodable, Record, Reserved, Rows
from protocol.codec.derived import Codec
from protocol.codec.diagnostics import integer_range
from protocol.codec.layouts import codec_of, decode, encode, message
from protocol.identifiers import ErrorCode, Outcome, StopReason
from protocol.log.types import LogName
from protocol.messages.bolus import BolusCommit, BolusCommitReply, BolusPrepare
from protocol.messages.configuration import ConfigReadReply, ConfigWrite
from protocol.messages.conversation import Ping
from protocol.messages.ledger import CommandResult
from protocol.messages.log import LogRead, LogReadReply
from protocol.messages.program import ProgVerifyReply, ProgWrite, Segment
from protocol.messages.reading import GetStatusReply
from protocol.messages.stop import Stop
from protocol.messages.time import GetTimeReply
from tests.support.for_each import for_each
from tests.support.soak import rounds_of
from tests.unit.protocol.message_values import (
    CLASSES,
    declared_build,
    declared_parse,
    fixed_places,
    messages,
    record_of,
)

every_class = for_each("cls", CLASSES)
# A fault of the codec is often one of all classes, and to shrink it 140 times over would take minutes.
FEW = settings(max_examples=3, phases=[Phase.explicit, Phase.reuse, Phase.generate])
SOME = settings(FEW, max_examples=rounds_of("examples of every message", 12, 3))


def smallest(cls: type) -> bytes:
    """A payload of zeros, but for fields in which 0 has no meaning; no rows."""
    payload = bytearray(codec_of(cls).size)
    for _name, layout, offset in fixed_places(cls):
        if isinstance(layout, Mapped) and 0 not in layout.value_of:
            width = layout.sizeof()
            payload[offset : offset + width] = min(layout.value_of).to_bytes(width, "little")
    return bytes(payload)


@every_class
@SOME
@given(data=st.data())
def test_derived_and_declared_layout_agree_both_ways(cls: type, data: st.DataObject) -> None:
    value = data.draw(messages(cls))
    payload = encode(value)
    assert payload == declared_build(value)
    assert decode(cls, payload) == value
    assert declared_parse(cls, payload) == value


@every_class
@SOME
@given(data=st.data())
def test_derived_and_declared_layout_refuse_the_same_bytes(cls: type, data: st.DataObject) -> None:
    size = codec_of(cls).size
    payload = data.draw(st.binary(min_size=size, max_size=size + 8))
    try:
        expected: Any = declared_parse(cls, payload)
    except construct.ConstructError:
        with pytest.raises(Malformed):
            decode(cls, payload)
    else:
        assert decode(cls, payload) == expected


@every_class
@FEW
@given(data=st.data())
def test_every_truncation_and_extension_is_refused(cls: type, data: st.DataObject) -> None:
    payload = encode(data.draw(messages(cls)))
    for wrong in [*(payload[:end] for end in range(len(payload))), payload + b"\0"]:
        with pytest.raises(Malformed) as refused:
            decode(cls, wrong)
        assert refused.value.code is ErrorCode.LENGTH


@every_class
@FEW
@given(data=st.data())
def test_a_longer_answer_of_a_later_version_is_read_without_its_tail(cls: type, data: st.DataObject) -> None:
    value = data.draw(messages(cls))
    assert decode(cls, encode(value) + b"later", allow_tail=True) == value


@every_class
def test_a_tail_does_not_excuse_a_truncation(cls: type) -> None:
    payload = smallest(cls)
    for end in range(len(payload)):
        with pytest.raises(Malformed):
            decode(cls, payload[:end], allow_tail=True)


@every_class
def test_every_unknown_value_and_reserved_byte_is_refused_with_its_place(cls: type) -> None:
    good = smallest(cls)
    decode(cls, good)
    for name, layout, offset in fixed_places(cls):
        if isinstance(layout, Reserved):
            for place in range(offset, offset + layout.length):
                refused = _refusal_of(cls, good, place, b"\x01")
                assert (refused.code, refused.field_offset) == (ErrorCode.RESERVED_BITS, place), name
        elif isinstance(layout, Mapped):
            width = layout.sizeof()
            unknown = [n for n in range(256) if n not in layout.value_of][:40]
            unknown += [0xFFFF_FFFF] if width == 4 else []
            for number in unknown:
                refused = _refusal_of(cls, good, offset, number.to_bytes(width, "little"))
                assert (refused.code, refused.field_offset) == (layout.code, offset), name
                assert refused.detail == number
                assert refused.limit >= max(layout.value_of)


def _refusal_of(cls: type, good: bytes, offset: int, number: bytes) -> Malformed:
    with pytest.raises(Malformed) as refused:
        decode(cls, good[:offset] + number + good[offset + len(number) :])
    return refused.value


@every_class
def test_every_integer_out_of_its_range_is_named_on_encode(cls: type) -> None:
    value: Any = decode(cls, smallest(cls))
    for name, layout in record_of(cls).parts:
        if isinstance(layout, construct.FormatField) and name:
            low, high = integer_range(layout)
            for wrong in (low - 1, high + 1):
                with pytest.raises(NotEncodable, match=rf"\.{name} is {wrong}, not .* {low} to {high}"):
                    encode(value._replace(**{name: wrong}))
            for edge in (low, high):
                assert getattr(decode(cls, encode(value._replace(**{name: edge}))), name) == edge


@every_class
def test_bytes_of_another_length_are_named_on_encode(cls: type) -> None:
    value: Any = decode(cls, smallest(cls))
    for name, layout in record_of(cls).parts:
        if isinstance(layout, construct.Bytes) and name:
            right = layout.sizeof()
            for wrong in (right - 1, right + 1):
                with pytest.raises(NotEncodable, match=rf"\.{name} has {wrong} bytes, not {right}"):
                    encode(value._replace(**{name: bytes(wrong)}))


REFUSALS = [
    # why, class, payload, code, offset, value, limit
    ("too short", Stop, bytes(9), ErrorCode.LENGTH, None, 9, 10),
    ("too long", Stop, bytes(11), ErrorCode.LENGTH, None, 11, 10),
    ("length before enum", BolusPrepare, b"\x09", ErrorCode.LENGTH, None, 1, 13),
    ("unknown kind", BolusPrepare, b"\x09" + bytes(12), ErrorCode.ENUM, 0, 9, 2),
    ("a count above its maximum", ProgWrite, b"\0\x1f" + bytes(31 * 6), ErrorCode.LENGTH, 1, 31, 30),
    ("fewer rows than counted", ProgWrite, b"\0\x02" + bytes(6), ErrorCode.LENGTH, None, 8, 14),
    ("more rows than counted", ProgWrite, b"\0\x01" + bytes(12), ErrorCode.LENGTH, None, 14, 8),
    ("half a row", ProgWrite, b"\0\x01" + bytes(5), ErrorCode.LENGTH, None, 7, 8),
    ("seven entries at once", LogRead, bytes(7) + b"\x07\0\0", ErrorCode.ENUM, 7, 7, 6),
    ("text longer than allowed", ConfigWrite, b"\x02\0\x41" + bytes(65), ErrorCode.LENGTH, 2, 65, 64),
]


@for_each(("why", "cls", "payload", "code", "offset", "value", "limit"), REFUSALS, name=lambda case: case[0])
def test_a_refusal_says_what_is_wrong_and_where(
    why: str, cls: type, payload: bytes, code: ErrorCode, offset: int | None, value: int, limit: int
) -> None:
    with pytest.raises(Malformed) as refused:
        decode(cls, payload)
    fault = refused.value
    assert (fault.code, fault.field_offset, fault.detail, fault.limit) == (code, offset, value, limit), why


def test_an_unknown_value_inside_a_row_is_found_at_its_place() -> None:
    good = ProgVerifyReply(1, 2, (3, 4), ())
    payload = encode(good)[:1] + b"\x01" + encode(good)[2:]
    with pytest.raises(Malformed) as refused:
        decode(ProgVerifyReply, payload + bytes(16))
    assert (refused.value.code, refused.value.field_offset) == (ErrorCode.ENUM, 10 + 8)


WRONG_VALUES = [
    (BolusCommit(1, 2, 3, 4, 2.5), "BolusCommit.program_rev is 2.5"),  # type: ignore[arg-type]
    (BolusCommit(1, None, 3, 4, 5), "BolusCommit.volume_nl is None"),  # type: ignore[arg-type]
    (Stop(1, 2, 9), "Stop.reason is 9, not one of StopReason"),  # type: ignore[arg-type]
    (Stop(1, 2, StopReason.MRI, []), "Stop.on_expiry is \\[\\]"),  # type: ignore[arg-type]
    (ProgWrite(0, (Segment(0, 1),) * 31), "ProgWrite.segments has 31 items, at most 30 fit"),
    (ProgWrite(0, (Segment(0, 2**32),)), "Segment.rate_nl_per_day is 4294967296"),
    (ProgWrite(0, 7), "ProgWrite.segments is 7, not a tuple"),  # type: ignore[arg-type]
    (LogReadReply(LogName.MAIN, 0, 1, 2, 1, 1, (b"short",)), r"entries\[0\] has 5 bytes, not 32"),
    (BolusCommitReply((True, 1, 0), 0), "result is .*, not a CommandResult"),  # type: ignore[arg-type]
    (ConfigReadReply(1, 5), "ConfigReadReply.value is 5, not bytes"),  # type: ignore[arg-type]
]


@for_each(("wrong", "sentence"), WRONG_VALUES, name=lambda case: case[1])
def test_our_own_mistake_is_named_by_its_field(wrong: object, sentence: str) -> None:
    with pytest.raises(NotEncodable, match=sentence):
        encode(wrong)


def test_signed_fields_are_signed() -> None:
    west = GetTimeReply(1, 2, 3, 4, -720, 5)
    assert decode(GetTimeReply, encode(west)).tz_minutes == -720


def test_values_come_back_as_members_of_their_enums() -> None:
    reply = BolusCommitReply(CommandResult(dup=False, outcome=Outcome.RUNNING, reason=0, seq=9), 500)
    back = decode(BolusCommitReply, encode(reply))
    assert type(back.result) is CommandResult
    assert back.result.outcome is Outcome.RUNNING
    assert back.result.dup is False


def test_nobody_stopped_the_pump_is_none_and_not_a_role() -> None:
    payload = smallest(GetStatusReply)
    place = next(offset for name, _, offset in fixed_places(GetStatusReply) if name == "stopped_by")
    nobody = payload[:place] + b"\xff" + payload[place + 1 :]
    assert decode(GetStatusReply, nobody).stopped_by is None
    assert encode(decode(GetStatusReply, nobody)) == nobody


class Two(NamedTuple):
    first: int
    second: int


def test_a_layout_whose_names_differ_from_the_fields_does_not_import() -> None:
    with pytest.raises(TypeError, match="has fields"):
        message("second" / U8, "first" / U8)(Two)
    with pytest.raises(TypeError, match="no fields"):
        message("first" / U8, "second" / U8, not_in_cmd_crc=("token",))(Two)


def test_a_big_endian_field_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="no way to derive"):
        Codec(Record(Ping, [construct.Int16ub]))


def test_rows_of_a_row_with_a_count_are_read_as_declared() -> None:
    segments = tuple(Segment(60 * n, 1_000 * n) for n in range(3))
    assert decode(ProgWrite, encode(ProgWrite(7, segments))) == ProgWrite(7, segments)
    assert isinstance(record_of(ProgWrite).parts[1][1], Count)
    assert isinstance(record_of(ProgWrite).parts[2][1], Rows)
