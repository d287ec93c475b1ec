"""An open session: repeats, stale and forged frames, and how it ends [SPEC 4, 5]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.noise import Direction, FaultyLine
from hil.plugin import needs, verifies
from hil.suite.raw_client import (
    RawClient,
    decoded,
    error_of,
    plain_request,
    with_new_crc,
)
from hil.suite.refusals import check_refusal
from protocol.codec.layouts import decode, encode
from protocol.identifiers import ErrorCode, Handshake, Kind, Opcode, Role, State, StateChanged, StopReason
from protocol.log.data import SessionCloseData
from protocol.log.types import LogName, LogType, SessionCloseReason
from protocol.messages.errors import ErrorReply
from protocol.messages.stop import Stop
from protocol.messages.time import GetTime
from protocol.wire.frame import Frame
from protocol.wire.framing import decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

ANSWER_REPEATS = 4  # [SPEC 5, R2]
REQUEST_CTR_MAX = 1_048_576  # 2^20 [SPEC 5, R9]
SESSION_MARK_BYTES = 8  # [SPEC 8]
TAG_FAILURES_MAX = 16  # [SPEC 4, S2]

IDLE_MS = 120_000
LIFE_MS = 1_800_000
HOUR_MS = 3_600_000


def check_no_session(frame: Frame, sid: int, opcode: int, ctr: int) -> None:
    """The frame is the unsecured hint NO_SESSION to that request, and claims to know nothing of its fate."""
    assert (frame.kind, frame.flags, frame.sid, frame.opcode) == (Kind.ERROR, 0, sid, opcode)
    assert (frame.ctr, frame.ref) == (0, ctr & 0xFFFF)
    error = decode(ErrorReply, frame.body)
    assert (error.code, error.state_changed) == (ErrorCode.NO_SESSION, StateChanged.UNKNOWN)


# Repeats and order.


@verifies("LNK-001")
def test_a_repeated_request_gets_the_same_bytes_a_few_times_and_is_not_executed_again(raw: RawClient) -> None:
    wire = raw.request_frame(Opcode.GET_TIME, encode(GetTime(7)))
    raw.send(wire)
    first = raw.next_answer()
    for _ in range(ANSWER_REPEATS):
        raw.send(wire)
        assert raw.next_answer().wire == first.wire
    raw.send(wire)
    stats = raw.link_stats()  # the next frame: the fifth repeat was dropped
    assert (stats.dup_served, stats.replay_drop) == (ANSWER_REPEATS, 1)


@verifies("LNK-002")
def test_a_request_with_an_older_counter_is_dropped_and_counted(raw: RawClient) -> None:
    older = raw.request_frame(Opcode.GET_STATUS)
    newer = raw.request_frame(Opcode.PING)
    raw.send(newer, older)
    assert raw.next_answer().frame.ref == raw.ctr
    assert raw.link_stats().replay_drop == 1


@verifies("LNK-002")
def test_counters_may_leave_gaps(raw: RawClient) -> None:
    for ctr in (5, 6, 1_000, 70_000):
        raw.send(raw.request_frame(Opcode.PING, ctr=ctr))
        assert raw.next_answer().frame.ref == ctr & 0xFFFF


@verifies("LNK-002")
def test_a_second_request_under_a_counter_that_was_used_is_dropped(raw: RawClient) -> None:
    raw.ask(Opcode.PING)
    raw.send(raw.request_frame(Opcode.GET_STATUS, ctr=raw.ctr))
    assert raw.link_stats().replay_drop == 1


@verifies("LNK-002")
def test_a_request_that_claims_to_answer_something_is_dropped(raw: RawClient) -> None:
    raw.send(raw.request_frame(Opcode.PING, ref=1))
    assert raw.link_stats().replay_drop == 1


@verifies("LNK-007")
def test_frames_of_the_pump_that_come_back_to_it_are_dropped_and_end_no_session(raw: RawClient) -> None:
    answers = [raw.ask(Opcode.PING).wire for _ in range(TAG_FAILURES_MAX + 1)]
    raw.send(*answers)
    assert raw.status().state
    stats = raw.link_stats()
    assert stats.replay_drop + stats.mac_bad == len(answers)


@verifies("LNK-008")
def test_a_counter_beyond_its_end_ends_the_session_cleanly_and_changes_nothing(
    raw: RawClient, make_raw: Callable[..., RawClient]
) -> None:
    before = raw.status()
    stop = encode(Stop(before.last_cmd_id + 1, 3_600, StopReason.CLINICAL))
    raw.send(raw.request_frame(Opcode.STOP, stop, ctr=REQUEST_CTR_MAX + 1))
    answer = raw.next_answer()
    assert answer.frame.flags
    check_refusal(error_of(answer), ErrorCode.SESSION_EXPIRED)
    again = make_raw()
    after = again.status()
    assert (after.state, after.last_cmd_id) == (before.state, before.last_cmd_id)


@verifies("LNK-008")
def test_the_last_counter_of_a_session_is_still_served(raw: RawClient) -> None:
    raw.send(raw.request_frame(Opcode.PING, ctr=REQUEST_CTR_MAX))
    assert raw.next_answer().frame.kind is Kind.RESPONSE


# Forgery.

FORGED_PLACES = {"opcode": 2, "ctr": 6, "ref": 10, "payload": 12, "tag": -5}


# FI 56
@verifies("SES-013")
def test_a_changed_frame_with_a_good_crc_fails_its_tag(raw: RawClient) -> None:
    for number, (name, place) in enumerate(FORGED_PLACES.items(), start=1):
        frame = bytearray(decoded(raw.request_frame(Opcode.GET_TIME, encode(GetTime(1)))))
        frame[place] ^= 0x10
        raw.send(with_new_crc(bytes(frame)))
        assert raw.link_stats().mac_bad == number, name


@verifies("SES-008")
def test_a_frame_stripped_of_its_tag_is_not_served_in_a_session(raw: RawClient) -> None:
    before = raw.status()
    stop = encode(Stop(before.last_cmd_id + 1, 3_600, StopReason.CLINICAL))
    raw.send(plain_request(Opcode.STOP, stop, sid=raw.sid, ctr=raw.ctr + 1))
    check_no_session(raw.next_frame(), raw.sid, Opcode.STOP, raw.ctr + 1)
    assert raw.status().state is before.state


@verifies("SES-014")
def test_sixteen_forged_tags_close_the_session_and_no_more_than_that_is_lost(
    raw: RawClient, pump_as: Callable[[Role], Programmer]
) -> None:
    before = raw.status()
    wire = bytearray(decoded(raw.request_frame(Opcode.PING)))
    wire[-5] ^= 0x01
    forged = with_new_crc(bytes(wire))
    raw.send(*[forged] * (TAG_FAILURES_MAX - 1))
    assert raw.status().state is before.state
    raw.send(forged)
    raw.send(raw.request_frame(Opcode.PING))
    check_no_session(raw.next_frame(), raw.sid, Opcode.PING, raw.ctr)
    again = pump_as(Role.CLINICIAN)
    after = again.status()
    assert (after.state, after.rate_nl_per_day) == (before.state, before.rate_nl_per_day)
    expected = [LogType.MAC_FAIL_BURST, LogType.SESSION_CLOSE, LogType.SESSION_OPEN]
    newest = again.log_status(LogName.SECURITY).last_seq
    written = [entry.type for entry in again.read_log(LogName.SECURITY, from_seq=max(1, newest - 5)).entries]
    assert [log_type for log_type in written if log_type in expected][-3:] == expected


# FI 56
@verifies("SES-008")
def test_a_command_outside_a_session_is_only_hinted_at_and_changes_nothing(
    raw: RawClient, make_raw: Callable[..., RawClient]
) -> None:
    """Attack 3.1: a STOP that belongs to no session."""
    before = raw.status()
    raw.end_session()
    stop = encode(Stop(before.last_cmd_id + 1, 3_600, StopReason.CLINICAL))
    raw.send(raw.request_frame(Opcode.STOP, stop))
    check_no_session(raw.next_frame(), raw.sid, Opcode.STOP, raw.ctr)
    raw.send(plain_request(Opcode.STOP, stop, sid=0x1111, ctr=9))
    check_no_session(raw.next_frame(), 0x1111, Opcode.STOP, 9)
    after = make_raw().status()
    assert (after.state, after.last_cmd_id, after.last_seq) == (
        before.state,
        before.last_cmd_id,
        before.last_seq,
    )


# The end.


@verifies("SES-011")
def test_after_end_session_nothing_more_is_served(raw: RawClient) -> None:
    raw.end_session()
    raw.send(raw.request_frame(Opcode.GET_STATUS))
    check_no_session(raw.next_frame(), raw.sid, Opcode.GET_STATUS, raw.ctr)


@verifies("SES-009", "SES-024")
@needs("time")
def test_a_session_ends_after_120_seconds_without_a_request_to_the_millisecond(
    raw: RawClient, pump_rig: Rig
) -> None:
    raw.status()
    pump_rig.advance(IDLE_MS - 1)
    raw.status()
    pump_rig.advance(IDLE_MS)
    raw.send(raw.request_frame(Opcode.GET_STATUS))
    check_no_session(raw.next_frame(), raw.sid, Opcode.GET_STATUS, raw.ctr)


@verifies("SES-009")
@needs("time")
def test_repeats_do_not_keep_a_session_awake(raw: RawClient, pump_rig: Rig) -> None:
    wire = raw.request_frame(Opcode.PING)
    raw.send(wire)
    raw.next_answer()
    pump_rig.advance(IDLE_MS - 1)
    raw.send(wire)
    raw.next_answer()
    pump_rig.advance(1)
    raw.send(raw.request_frame(Opcode.PING))
    check_no_session(raw.next_frame(), raw.sid, Opcode.PING, raw.ctr)


@verifies("SES-020")
@needs("time")
def test_a_busy_session_ends_after_half_an_hour(raw: RawClient, pump_rig: Rig) -> None:
    for _ in range(LIFE_MS // 100_000):
        pump_rig.advance(100_000 - 1)
        raw.status()
    pump_rig.advance(100_000)
    raw.send(raw.request_frame(Opcode.PING))
    check_no_session(raw.next_frame(), raw.sid, Opcode.PING, raw.ctr)


@verifies("SES-009", "SES-010")
@needs("time")
def test_after_an_hour_of_silence_the_programmer_reconnects_by_itself_and_therapy_went_on(
    running: Programmer, pump_rig: Rig, pump_line: FaultyLine
) -> None:
    before = running.delivery()
    rate_nl_per_day = running.status().rate_nl_per_day
    pump_rig.advance(HOUR_MS)
    frames_before = len(pump_line.seen(Direction.TO_PUMP))
    after = running.delivery()
    kinds = [decode_frame(frame) for frame in pump_line.seen(Direction.TO_PUMP)[frames_before:]]
    hellos = [f for f in kinds if isinstance(f, Frame) and f.kind is Kind.HANDSHAKE]
    assert [frame.opcode for frame in hellos] == [Handshake.CLIENT_HELLO, Handshake.CLIENT_PROOF]
    stroke_nl = running.limits().stroke_nl
    assert abs(after.basal_nl - before.basal_nl - rate_nl_per_day // 24) < stroke_nl
    assert running.status().state is State.RUN


@verifies("SES-010", "LOG-006")
def test_opening_and_closing_a_session_is_in_the_security_log_and_in_no_other(
    pump: Programmer, pump_as: Callable[[Role], Programmer]
) -> None:
    main_seq, last = pump.status().last_seq, pump.log_status(LogName.SECURITY).last_seq
    pump.end_session()
    reader = pump_as(Role.SERVICE)
    entries = reader.read_log(LogName.SECURITY, from_seq=last + 1).entries
    assert [entry.type for entry in entries] == [LogType.SESSION_CLOSE, LogType.SESSION_OPEN]
    assert entries[0].details() == SessionCloseData(SessionCloseReason.ENDED, pump.key.key_id)
    assert reader.status().last_seq == main_seq


@verifies("SES-015")
def test_neither_serial_number_nor_dose_crosses_the_line_in_clear(
    pump: Programmer, pump_line: FaultyLine
) -> None:
    serial = pump.info().serial
    program = pump.program()
    dose = encode(program.header)[:12]
    assert serial.strip(b"\x00")
    seen = pump_line.seen(Direction.FROM_PUMP) + pump_line.seen(Direction.TO_PUMP)
    frames = [decode_frame(frame) for frame in seen]
    assert all(isinstance(frame, Frame) for frame in frames)
    clear = b"|".join(frame.raw for frame in frames if isinstance(frame, Frame))
    assert serial not in clear
    assert dose not in clear


@verifies("SES-021")
def test_a_client_knows_its_own_session_by_its_log_entry(pump: Programmer) -> None:
    """The last one in the security log, whatever strangers did meanwhile; its nonce is nobody else's."""
    opened = pump.session.opened
    assert opened is not None
    history = pump.read_log(LogName.SECURITY, from_seq=max(1, pump.log_status(LogName.SECURITY).last_seq - 5))
    entry = [entry for entry in history.entries if entry.type is LogType.SESSION_OPEN][-1]
    assert entry.details().key_id == pump.key.key_id
    assert entry.details().nonce_start == opened.client_nonce[:SESSION_MARK_BYTES]
