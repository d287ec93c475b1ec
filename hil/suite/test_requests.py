"""Requests that are none: unknown opcodes, wrong lengths, unknown values, roles that may not [SPEC 5 to 7, 10]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import CommandRefused
from hil.plugin import verifies
from hil.suite.raw_client import RawClient, error_of
from hil.suite.refusals import check_refusal, refused
from hil.suite.sample_requests import SAMPLE_REQUESTS
from protocol.codec.layouts import encode
from protocol.identifiers import VENDOR_OPCODES, Capability, ErrorCode, Kind, Opcode, Role
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import AlarmAck
from protocol.messages.bolus import BolusPrepare
from protocol.messages.errors import ErrorReply
from protocol.messages.log import LogRead, LogReadReply, LogStatus, LogStatusReply
from protocol.messages.program import ProgBegin
from protocol.messages.reading import GetStatusReply
from protocol.messages.reservoir import Refill
from protocol.messages.time import TimeSet
from protocol.registry import COMMANDS, EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer

LOG_READ_MAX = 6  # [SPEC 8]

UNASSIGNED = sorted(set(range(256)) - {int(opcode) for opcode in (*COMMANDS, *EVENTS)})
NOT_YET = frozenset({ErrorCode.UNSUPPORTED_OP})  # a pump may lack a whole feature, and says so


def lasting(status: GetStatusReply) -> tuple[object, ...]:
    """What of a status a refused request must leave as it was."""
    return (
        status.state,
        status.rate_nl_per_day,
        status.program_rev,
        status.bolus_cmd_id,
        status.alarm_active,
        status.alarm_latched,
        status.last_cmd_id,
    )


# FI 57
@verifies("LNK-004")
def test_every_unassigned_opcode_is_refused_whatever_its_payload(raw: RawClient) -> None:
    before = raw.status()
    assert raw.pump_hello is not None
    with_vendors = Capability.VENDOR_MESSAGES in Capability(raw.pump_hello.caps)
    for opcode in UNASSIGNED:
        if with_vendors and opcode in VENDOR_OPCODES:
            continue  # what these do is theirs to say
        for payload in (b"", bytes(224)):
            error = check_refusal(error_of(raw.ask(opcode, payload)), ErrorCode.UNSUPPORTED_OP)
            assert error.detail == opcode
    assert lasting(raw.status()) == lasting(before)


# FI 57
@verifies("LNK-003")
def test_a_request_that_is_longer_or_shorter_than_its_version_says_is_refused(
    make_raw: Callable[..., RawClient],
) -> None:
    for role in (Role.PATIENT, Role.CLINICIAN, Role.SERVICE):
        client = make_raw(role)
        before = client.status()
        for opcode in (opcode for opcode, command in COMMANDS.items() if role in command.roles):
            payload = encode(SAMPLE_REQUESTS[opcode])
            wrong = [payload + b"\x00", payload + bytes(224 - len(payload))]
            for changed in [*wrong, payload[:-1]] if payload else wrong:
                error = error_of(client.ask(opcode, changed))
                if error.code not in NOT_YET:
                    check_refusal(error, ErrorCode.LENGTH)
        assert lasting(client.status()) == lasting(before)
        client.end_session()


def _changed(opcode: Opcode, offset: int, value: int) -> bytes:
    payload = bytearray(encode(SAMPLE_REQUESTS[opcode]))
    payload[offset] = value
    return bytes(payload)


UNKNOWN_VALUES = (
    # opcode, offset of the byte in the payload, a value that means nothing, the refusal
    (Opcode.GET_PROGRAM, 0, 2, ErrorCode.ENUM),
    (Opcode.GET_LINK_STATS, 0, 2, ErrorCode.ENUM),
    (Opcode.BOLUS_PREPARE, 0, 0, ErrorCode.ENUM),
    (Opcode.BOLUS_PREPARE, 0, 3, ErrorCode.ENUM),
    (Opcode.STOP, 8, 0, ErrorCode.ENUM),
    (Opcode.STOP, 8, 7, ErrorCode.ENUM),
    (Opcode.STOP, 9, 0, ErrorCode.ENUM),
    (Opcode.STOP, 9, 4, ErrorCode.ENUM),
    (Opcode.PROG_BEGIN, 4, 9, ErrorCode.ENUM),
    (Opcode.PROG_BEGIN, 7, 0x08, ErrorCode.RESERVED_BITS),
    (Opcode.PROG_BEGIN, 10, 1, ErrorCode.RESERVED_BITS),
    (Opcode.PROG_COMMIT, 12, 2, ErrorCode.ENUM),
    (Opcode.LOG_READ, 0, 2, ErrorCode.ENUM),
    (Opcode.LOG_READ, 7, 0, ErrorCode.ENUM),
    (Opcode.LOG_READ, 7, 7, ErrorCode.ENUM),
    (Opcode.LOG_STATUS, 0, 2, ErrorCode.ENUM),
    (Opcode.ALARM_ACK, 0, 0, ErrorCode.ENUM),
    (Opcode.ALARM_ACK, 0, 23, ErrorCode.ENUM),
    (Opcode.TIME_SET, 10, 0, ErrorCode.ENUM),
    (Opcode.TIME_SET, 11, 2, ErrorCode.ENUM),
    (Opcode.REFILL, 14, 0x02, ErrorCode.RESERVED_BITS),
)


# FI 57
@verifies("LNK-005")
def test_a_value_that_means_nothing_is_refused_and_its_place_is_named(raw: RawClient) -> None:
    before = raw.status()
    for opcode, offset, value, code in UNKNOWN_VALUES:
        error = check_refusal(error_of(raw.ask(opcode, _changed(opcode, offset, value))), code)
        assert (opcode, error.field_offset) == (opcode, offset)
    assert lasting(raw.status()) == lasting(before)


NUMERIC_EXTREMES = (0, 1, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF)


@verifies("LNK-005", "LED-006")
def test_numbers_at_the_edges_of_their_fields_are_refused_and_change_nothing(raw: RawClient) -> None:
    before = raw.status()
    for value in NUMERIC_EXTREMES:
        for request in _impossible_requests(value, before):
            answer = raw.say(request)
            assert isinstance(answer, ErrorReply), f"{request} was taken: {answer}"
            check_refusal(answer, answer.code)
    assert lasting(raw.status()) == lasting(before)


def _impossible_requests(value: int, status: GetStatusReply) -> list[Any]:
    """Requests that no pump may take, with an extreme number in a field."""
    rev, cmd_id = status.program_rev, status.last_cmd_id + 1
    return [
        BolusPrepare(SAMPLE_REQUESTS[Opcode.BOLUS_PREPARE].kind, 0xFFFF_FFFF, value, rev),
        BolusPrepare(SAMPLE_REQUESTS[Opcode.BOLUS_PREPARE].kind, value, 0, rev),
        ProgBegin(rev + 1, SAMPLE_REQUESTS[Opcode.PROG_BEGIN].header),
        SAMPLE_REQUESTS[Opcode.REFILL]._replace(cmd_id=cmd_id, filled_nl=0xFFFF_FFFF, aspirated_nl=value),
        TimeSet(cmd_id, value, 841, SAMPLE_REQUESTS[Opcode.TIME_SET].reason, confirm=True),
        AlarmAck(SAMPLE_REQUESTS[Opcode.ALARM_ACK].alarm_id, 0xFFFF_FFFF),
        LogRead(LogName.MAIN, 0xFFFF, value, 1),
    ]


FORBIDDEN = [
    (role, opcode)
    for opcode, command in sorted(COMMANDS.items())
    for role in Role
    if role not in command.roles
]


@verifies("ROL-001", "ROL-002", "STA-008")
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
def test_what_a_role_may_not_do_is_refused_and_logged_and_changes_nothing(
    make_raw: Callable[..., RawClient], role: Role
) -> None:
    """Attack 3.4: an observer's STOP, a patient's PROG_COMMIT, and whatever else a role may not."""
    client = make_raw(role)
    before, log_before = client.status(), _last_of_security_log(client)
    refused_by_role = 0
    for opcode in (opcode for who, opcode in FORBIDDEN if who is role):
        answer = client.ask(opcode, encode(SAMPLE_REQUESTS[opcode]))
        error = error_of(answer)
        if error.code in NOT_YET:
            continue
        check_refusal(error, ErrorCode.ROLE)
        refused_by_role += 1
    assert refused_by_role or role is Role.CLINICIAN
    assert _denials_since(client, log_before) == refused_by_role
    after = client.status()
    assert lasting(after) == lasting(before)
    assert after.last_seq == before.last_seq


def _last_of_security_log(client: RawClient) -> int:
    answer = client.say(LogStatus(LogName.SECURITY))
    assert isinstance(answer, LogStatusReply)
    return answer.last_seq


def _denials_since(client: RawClient, seq: int) -> int:
    """ROLE_DENIED entries behind a number; a pump may write others of its own among them."""
    denials = 0
    while True:
        page = client.say(LogRead(LogName.SECURITY, 0, seq + 1, LOG_READ_MAX))
        assert isinstance(page, LogReadReply)
        denials += sum(LogEntry.unpack(raw).type is LogType.ROLE_DENIED for raw in page.entries)
        seq = page.next_seq - 1
        if seq >= page.newest_seq:
            return denials


@verifies("ROL-001")
def test_every_role_may_read_what_its_row_says(make_raw: Callable[..., RawClient]) -> None:
    for role in Role:
        client = make_raw(role)
        for opcode, command in COMMANDS.items():
            if role in command.roles and opcode.name.startswith(("GET_", "LOG_", "PING")):
                answer = client.ask(opcode, encode(SAMPLE_REQUESTS[opcode]))
                assert answer.frame.kind is Kind.RESPONSE, f"{role.name} {opcode.name}: {answer}"
        client.end_session()


@verifies("ROL-001")
def test_a_refused_role_names_what_was_asked_in_the_security_log(
    pump_as: Callable[[Role], Programmer], pump: Programmer
) -> None:
    """Attack 3.9: a service key tries a bolus."""
    last = pump.log_status(LogName.SECURITY).last_seq
    pump.end_session()
    service = pump_as(Role.SERVICE)
    with refused(ErrorCode.ROLE):
        service.prepare_bolus(100_000, 600)
    entries = service.read_log(LogName.SECURITY, from_seq=last + 1).entries
    denied = [entry for entry in entries if entry.type is LogType.ROLE_DENIED]
    assert [(entry.details().opcode, entry.actor >> 4) for entry in denied] == [
        (Opcode.BOLUS_PREPARE, Role.SERVICE)
    ]


@verifies("LED-006")
def test_a_refused_command_is_told_apart_from_a_failed_one(running: Programmer) -> None:
    last = running.status().last_cmd_id
    size_nl = running.info().reservoir_size_nl
    with pytest.raises(CommandRefused) as caught:
        running.refill(size_nl + 1, aspirated_nl=0)
    check_refusal(caught.value.error, ErrorCode.RESERVOIR)
    assert running.status().last_cmd_id == last


def test_samples_are_what_their_commands_send() -> None:
    for opcode, sample in SAMPLE_REQUESTS.items():
        assert type(sample) is COMMANDS[opcode].request
    assert isinstance(SAMPLE_REQUESTS[Opcode.REFILL], Refill)
