"""What messages have in common as Python values."""

from __future__ import annotations

import copy
import pickle

import pytest

from protocol.codec.layouts import decode, encode
from protocol.identifiers import ErrorClass, ErrorCode, InfusionMode, Outcome, ProgramFlag, StateChanged
from protocol.messages.bolus import BolusCommitReply, PrimeReply
from protocol.messages.conversation import EndSession, Ping
from protocol.messages.errors import ErrorReply, refusal
from protocol.messages.ledger import CommandResult, QueryCmd, VoidCmd
from protocol.messages.program import Group, ProgramHeader, Segment, padded_groups, staged_crc
from protocol.messages.reading import GetStatus
from tests.support.for_each import for_each
from tests.unit.protocol.message_values import CLASSES


def test_messages_of_two_kinds_with_equal_values_differ() -> None:
    result = CommandResult(dup=False, outcome=Outcome.DONE, reason=0, seq=1)
    bolus: object = BolusCommitReply(result, 5)
    ping: object = Ping()
    assert bolus != PrimeReply(result, 5)
    assert bolus == BolusCommitReply(result, 5)
    assert (bolus != BolusCommitReply(result, 5)) is False
    assert ping != EndSession()
    assert VoidCmd(7) != (7,)


def test_an_empty_message_is_still_something() -> None:
    assert GetStatus()


def test_equal_messages_are_one_in_a_set() -> None:
    assert len({QueryCmd(5), QueryCmd(5), QueryCmd(6)}) == 2


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        QueryCmd(5).cmd_id = 6  # type: ignore[misc]


def test_a_message_survives_pickling_and_is_shared_by_deep_copies() -> None:
    header = ProgramHeader(InfusionMode.SIMPLE, 1, 1, ProgramFlag(0), 1, 500_000)
    assert pickle.loads(pickle.dumps(header)) == header  # noqa: S301 (our own bytes)
    assert copy.deepcopy(header) is header


@for_each("cls", CLASSES)
def test_every_message_says_what_it_is_for(cls: type) -> None:
    assert (cls.__doc__ or "").strip()
    assert not (cls.__doc__ or "").startswith(f"{cls.__name__}(")


def test_a_refusal_tells_its_class_from_its_code() -> None:
    error = refusal(ErrorCode.HOUR_MAX, detail=2_000_000, limit=1_000_000, nearest=500_000, field_offset=1)
    assert error == ErrorReply(
        ErrorClass.LIMIT, ErrorCode.HOUR_MAX, StateChanged.NO, 2_000_000, 0, 1, 1_000_000, 500_000
    )
    assert len(encode(error)) == 20
    assert decode(ErrorReply, encode(error)) == error


def test_a_refusal_about_no_field_says_none() -> None:
    error = refusal(ErrorCode.STOPPED)
    assert encode(error)[10] == 0xFF
    assert decode(ErrorReply, encode(error)).field_offset is None


def test_numbers_too_large_for_a_refusal_are_told_as_the_largest() -> None:
    error = refusal(ErrorCode.RATE, detail=2**40, retry_after_ms=100_000, nearest=-1)
    assert (error.detail, error.retry_after_ms, error.nearest) == (2**32 - 1, 65_535, 2**32 - 1)
    assert encode(error)


def test_a_program_header_has_98_bytes_and_a_segment_6() -> None:
    header = ProgramHeader(
        InfusionMode.SIMPLE, 1, 1, ProgramFlag(0), 1, 500_000, groups=padded_groups([Group(127, 1, 300_000)])
    )
    assert len(encode(header)) == 98
    assert len(encode(Segment(0, 600_000))) == 6
    assert len(header.groups) == 7
    assert header.groups[1] == Group()


def test_the_staged_crc_covers_header_and_every_segment_in_order() -> None:
    header = ProgramHeader(InfusionMode.FLEX, 1, 2, ProgramFlag(0), 1, 500_000)
    day = [Segment(0, 600_000), Segment(720, 700_000)]
    crcs = {
        staged_crc(header, day),
        staged_crc(header, day[::-1]),
        staged_crc(header, day[:1]),
        staged_crc(header, []),
        staged_crc(header._replace(drug_id=2), day),
    }
    assert len(crcs) == 5
