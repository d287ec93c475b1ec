"""Bytes to frames: what the pump makes of a line that damages, splits and adds bytes [SPEC 2, 3].

"Not answered" is seen from the answer to the next good request: had the pump answered the bad frame, that answer would
stand before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.plugin import needs, verifies
from hil.suite.raw_client import RawClient, decoded, with_new_crc
from protocol.identifiers import Kind, Opcode
from protocol.wire.frame import with_crc
from protocol.wire.framing import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.rig import Rig
    from protocol.messages.conversation import GetLinkStatsReply

# Noise of 64 bytes: 7 k + 1 in 1 .. 251, so that it holds no delimiter and no valid frame.
NOISE = bytes(1 + (7 * k) % 251 for k in range(64))
ZERO = b"\x00"


def dropped_frames(before: GetLinkStatsReply, after: GetLinkStatsReply) -> dict[str, int]:
    """Which counters of GET_LINK_STATS went up, and by how much."""
    pairs = zip(after._fields, before, after, strict=True)
    return {name: later - earlier for name, earlier, later in pairs if later != earlier}


@verifies("FRM-001")
def test_a_frame_that_comes_byte_by_byte_is_answered(raw: RawClient) -> None:
    for byte in raw.request_frame(Opcode.PING):
        raw.send(bytes([byte]))
    answer = raw.next_answer()
    assert (answer.frame.kind, answer.frame.opcode) == (Kind.RESPONSE, Opcode.PING)


@verifies("FRM-001")
def test_a_frame_split_at_any_position_is_answered(raw: RawClient) -> None:
    length = len(raw.request_frame(Opcode.GET_STATUS))
    for position in range(1, length):
        wire = raw.request_frame(Opcode.GET_STATUS)
        raw.send(wire[:position])
        raw.send(wire[position:])
        assert raw.next_answer().frame.ref == raw.ctr


@verifies("FRM-002")
def test_noise_before_a_frame_costs_nothing_but_the_noise(raw: RawClient) -> None:
    before = raw.link_stats()
    raw.send(NOISE, raw.request_frame(Opcode.PING))
    assert raw.next_answer().frame.ref == raw.ctr
    assert sum(dropped_frames(before, raw.link_stats()).values()) == 1


@verifies("FRM-002")
def test_noise_between_delimiters_is_dropped_piece_by_piece(raw: RawClient) -> None:
    before = raw.link_stats()
    raw.send(ZERO, NOISE[:20], ZERO, NOISE[20:50], ZERO, NOISE[50:], raw.request_frame(Opcode.PING))
    assert raw.next_answer().frame.ref == raw.ctr
    assert sum(dropped_frames(before, raw.link_stats()).values()) == 3


def _with_wrong_crc(wire: bytes) -> bytes:
    raw_frame = decoded(wire)
    return encode_frame(raw_frame[:-1] + bytes([raw_frame[-1] ^ 0x01]))


def _with_code_byte_beyond_the_end(wire: bytes) -> bytes:
    return ZERO + bytes([0xFE]) + wire[2:]


def _without_its_last_byte(wire: bytes) -> bytes:
    return encode_frame(decoded(wire)[:-1])


def _too_short_for_a_header(wire: bytes) -> bytes:
    return encode_frame(with_crc(decoded(wire)[:8]))


def _longer_than_any_frame(_wire: bytes) -> bytes:
    return ZERO + b"\x55" * 300 + ZERO


def _with_plen_one_too_large(wire: bytes) -> bytes:
    frame = bytearray(decoded(wire))
    frame[3] += 1
    return with_new_crc(bytes(frame))


def _with_plen_above_the_maximum(wire: bytes) -> bytes:
    frame = bytearray(decoded(wire))
    frame[3] = 255
    return with_new_crc(bytes(frame))


def _with_a_reserved_flag(wire: bytes) -> bytes:
    frame = bytearray(decoded(wire))
    frame[1] |= 0x80
    return with_new_crc(bytes(frame))


def _of_the_next_major_version(wire: bytes) -> bytes:
    frame = bytearray(decoded(wire))
    frame[0] += 0x10
    return with_new_crc(bytes(frame))


def _with_a_truncated_tag(wire: bytes) -> bytes:
    frame = decoded(wire)
    return with_new_crc(frame[:-8] + frame[-4:])


DAMAGES = (
    _with_wrong_crc,
    _with_code_byte_beyond_the_end,
    _without_its_last_byte,
    _too_short_for_a_header,
    _longer_than_any_frame,
    _with_plen_one_too_large,
    _with_plen_above_the_maximum,
    _with_a_reserved_flag,
    _of_the_next_major_version,
    _with_a_truncated_tag,
)


@verifies("FRM-003", "FRM-004", "FRM-005", "FRM-007", "STA-006")
def test_a_bad_frame_is_not_answered_and_counts_once(raw: RawClient) -> None:
    for damage in DAMAGES:
        before = raw.link_stats()
        raw.send(damage(raw.request_frame(Opcode.GET_STATUS)))
        after = raw.link_stats()  # the next frame from the pump, or `ask` fails
        assert sum(dropped_frames(before, after).values()) == 1, damage


@verifies("FRM-003")
def test_each_single_bit_of_a_frame_is_protected(raw: RawClient) -> None:
    wire = raw.request_frame(Opcode.PING)
    before = raw.link_stats()
    encoded = wire[1:-1]
    cut_in_two = 0
    for bit in range(8 * len(encoded)):
        changed = bytearray(encoded)
        changed[bit // 8] ^= 1 << bit % 8
        cut_in_two += changed[bit // 8] == 0 and 0 < bit // 8 < len(encoded) - 1
        raw.send(ZERO, bytes(changed), ZERO)
    after = raw.link_stats()
    assert sum(dropped_frames(before, after).values()) == 8 * len(encoded) + cut_in_two


@verifies("FRM-005")
def test_a_thousand_bytes_without_a_delimiter_cost_one_frame(raw: RawClient) -> None:
    before = raw.link_stats()
    raw.send(b"\x11" * 1_000)
    raw.send(raw.request_frame(Opcode.PING))
    assert raw.next_answer().frame.ref == raw.ctr
    assert sum(dropped_frames(before, raw.link_stats()).values()) == 1


@verifies("FRM-006")
def test_empty_frames_are_ignored(raw: RawClient) -> None:
    before = raw.link_stats()
    raw.send(ZERO * 100, raw.request_frame(Opcode.PING), ZERO * 100)
    assert raw.next_answer().frame.ref == raw.ctr
    assert dropped_frames(before, raw.link_stats()) == {}


@verifies("FRM-008")
def test_sixteen_requests_in_one_write_leave_the_next_one_answered(raw: RawClient) -> None:
    raw.send(*(raw.request_frame(Opcode.GET_STATUS) for _ in range(16)))
    refs = [raw.next_answer().frame.ref]
    wire = raw.request_frame(Opcode.PING)
    raw.send(wire)
    while refs[-1] != raw.ctr:
        refs.append(raw.next_answer().frame.ref)
    assert refs == sorted(set(refs))
    assert raw.ask(Opcode.PING).frame.kind is Kind.RESPONSE


@verifies("FRM-009")
def test_half_a_frame_of_one_client_does_not_spoil_the_first_request_of_the_next(
    pump_bench: TestBench, make_raw: Callable[..., RawClient]
) -> None:
    first = make_raw()
    wire = first.request_frame(Opcode.GET_STATUS)
    first.send(wire[: len(wire) // 2])
    pump_bench.reopen_line()
    second = make_raw()
    assert second.ask(Opcode.PING).frame.kind is Kind.RESPONSE


@verifies("FRM-010")
@needs("time", "reset")
def test_a_frame_may_pause_for_less_than_the_gap_and_no_longer(raw: RawClient, pump_rig: Rig) -> None:
    wire = raw.request_frame(Opcode.GET_STATUS)
    raw.send(wire[:20])
    pump_rig.advance(950)
    raw.send(wire[20:])
    assert raw.next_answer().frame.ref == raw.ctr
    wire = raw.request_frame(Opcode.GET_STATUS)
    raw.send(wire[:20])
    pump_rig.advance(1_050)
    raw.send(wire[20:])
    stats = raw.link_stats()  # not answered, and both halves were dropped
    assert stats.cobs_bad + stats.crc_bad == 2


@verifies("FRM-010")
@needs("time")
def test_a_very_slow_sender_is_understood_as_long_as_it_keeps_within_the_gap(
    raw: RawClient, pump_rig: Rig
) -> None:
    for byte in raw.request_frame(Opcode.PING):
        raw.send(bytes([byte]))
        pump_rig.advance(900)
    assert raw.next_answer().frame.ref == raw.ctr
