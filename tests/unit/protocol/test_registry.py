"""The table of commands holds what SPEC 6, 9 and 10 say."""

from __future__ import annotations

from typing import Any

from protocol.codec.layouts import codec_of, declaration_of, decode
from protocol.identifiers import Opcode, Role
from protocol.messages.bolus import BolusCommit
from protocol.messages.conversation import Ping, PingReply
from protocol.messages.ledger import CommandResult
from protocol.messages.time import TimeSet
from protocol.registry import COMMANDS, EVENTS, cmd_crc, command_of
from tests.support.for_each import for_each
from tests.unit.protocol.message_values import record_of
from tests.unit.protocol.test_derived_codec import smallest

# opcode, roles, bytes of the request's fixed part, bytes of the answer's
TABLE = [
    (Opcode.GET_STATUS, "OPCS", 0, 78),
    (Opcode.GET_INFO, "OPCS", 0, 48),
    (Opcode.GET_LIMITS, "OPCS", 0, 54),
    (Opcode.GET_TIME, "OPCS", 4, 20),
    (Opcode.GET_PROGRAM, "OPCS", 2, 110),
    (Opcode.GET_DELIVERY, "OPCS", 0, 72),
    (Opcode.GET_LINK_STATS, "CS", 1, 28),
    (Opcode.GET_ALARMS, "OPCS", 0, 4),
    (Opcode.GET_RESERVOIR, "OPCS", 0, 56),
    (Opcode.BOLUS_PREPARE, "C", 13, 28),
    (Opcode.BOLUS_COMMIT, "C", 20, 12),
    (Opcode.QUERY_CMD, "PCS", 6, 24),
    (Opcode.VOID_CMD, "PCS", 4, 24),
    (Opcode.BOLUS_CANCEL, "PCS", 10, 16),
    (Opcode.STOP, "PCS", 10, 20),
    (Opcode.RESUME, "PC", 8, 16),
    (Opcode.PATIENT_BOLUS, "P", 4, 20),
    (Opcode.PROG_BEGIN, "C", 102, 0),
    (Opcode.PROG_WRITE, "C", 2, 1),
    (Opcode.PROG_VERIFY, "C", 0, 10),
    (Opcode.PROG_COMMIT, "C", 13, 13),
    (Opcode.PROG_ABORT, "C", 0, 0),
    (Opcode.PRIME, "C", 20, 12),
    (Opcode.LOG_READ, "OPCS", 10, 20),
    (Opcode.LOG_STATUS, "OPCS", 1, 22),
    (Opcode.ALARM_ACK, "PC", 5, 5),
    (Opcode.ALARM_TEST, "C", 1, 0),
    (Opcode.TIME_SET, "C", 12, 12),
    (Opcode.REFILL, "C", 28, 24),
    (Opcode.CONFIG_READ, "C", 2, 3),
    (Opcode.CONFIG_WRITE, "C", 3, 0),
    (Opcode.SUBSCRIBE, "OPCS", 4, 0),
    (Opcode.KEY_ADD, "C", 28, 0),
    (Opcode.KEY_REVOKE, "C", 2, 0),
    (Opcode.KEY_LIST, "C", 0, 1),
    (Opcode.PAIRING_OPEN, "C", 0, 4),
    (Opcode.SELF_TEST, "S", 0, 4),
    (Opcode.PING, "OPCS", 0, 0),
    (Opcode.END_SESSION, "OPCS", 0, 0),
]
LETTERS = {"O": Role.OBSERVER, "P": Role.PATIENT, "C": Role.CLINICIAN, "S": Role.SERVICE}


@for_each(("opcode", "roles", "request_bytes", "answer_bytes"), TABLE, name=lambda case: case[0].name)
def test_roles_and_lengths_are_those_of_the_specification(
    opcode: Opcode, roles: str, request_bytes: int, answer_bytes: int
) -> None:
    command = COMMANDS[opcode]
    assert command.roles == {LETTERS[letter] for letter in roles}
    assert codec_of(command.request).size == request_bytes
    assert codec_of(command.response).size == answer_bytes


def test_every_opcode_is_a_command_or_an_event() -> None:
    assert {opcode for opcode, *_ in TABLE} == set(COMMANDS)
    assert set(COMMANDS) | set(EVENTS) == set(Opcode)
    assert not set(COMMANDS) & set(EVENTS)


def test_request_and_answer_both_lead_to_their_row() -> None:
    for command in COMMANDS.values():
        assert command_of(command.request) is command
        assert command_of(command.response) is command


@for_each("opcode", COMMANDS)
def test_what_carries_a_cmd_id_is_answered_with_a_command_result(opcode: Opcode) -> None:
    command = COMMANDS[opcode]
    request, answer = record_of(command.request), record_of(command.response)
    opens_with_result = bool(answer.parts) and getattr(answer.parts[0][1], "cls", None) is CommandResult
    assert command.carries_cmd_id == opens_with_result
    names_an_id = bool(request.parts) and request.parts[0][0] == "cmd_id"
    assert names_an_id == (command.carries_cmd_id or opcode in {Opcode.QUERY_CMD, Opcode.VOID_CMD})


def test_service_has_no_therapy_rights() -> None:
    assert not [row.name for row in COMMANDS.values() if row.therapy and Role.SERVICE in row.roles]


def test_while_an_outcome_is_unknown_nothing_new_can_start() -> None:
    allowed = {row.opcode for row in COMMANDS.values() if row.while_unknown}
    assert {Opcode.QUERY_CMD, Opcode.VOID_CMD, Opcode.STOP, Opcode.BOLUS_CANCEL} <= allowed
    assert not allowed & {row.opcode for row in COMMANDS.values() if row.therapy}
    assert not allowed & {Opcode.PROG_BEGIN, Opcode.CONFIG_WRITE, Opcode.KEY_ADD, Opcode.ALARM_ACK}


def test_the_cmd_crc_of_the_known_answer() -> None:
    commit = BolusCommit(0x51, 20_000, 600, 0xA1B2C3D4, 9)
    assert cmd_crc(Opcode.BOLUS_COMMIT, commit) == 0x9A792B4E


def test_a_confirmation_is_the_same_command_and_a_new_token_is_another() -> None:
    commit = BolusCommit(0x51, 20_000, 600, 0xA1B2C3D4, 9)
    assert cmd_crc(Opcode.BOLUS_COMMIT, commit._replace(token=0)) != 0x9A792B4E
    request = decode(TimeSet, smallest(TimeSet))
    confirmed = request._replace(confirm=True)
    assert cmd_crc(Opcode.TIME_SET, confirmed) == cmd_crc(Opcode.TIME_SET, request)


def test_what_is_left_out_of_a_cmd_crc_is_known() -> None:
    left_out = {
        opcode.name: declaration_of(row.request).not_in_cmd_crc
        for opcode, row in COMMANDS.items()
        if row.carries_cmd_id and declaration_of(row.request).not_in_cmd_crc
    }
    assert left_out == {"TIME_SET": ("confirm",)}


@for_each("opcode", [opcode for opcode, row in COMMANDS.items() if row.carries_cmd_id])
def test_any_other_change_of_a_command_changes_its_cmd_crc(opcode: Opcode) -> None:
    cls = COMMANDS[opcode].request
    payload = smallest(cls)
    message: Any = decode(cls, payload)
    seen = {cmd_crc(opcode, message), cmd_crc(opcode ^ 1, message)}
    fields = [name for name in message._fields if name not in declaration_of(cls).not_in_cmd_crc]
    for name in fields:
        old = getattr(message, name)
        layout = dict(record_of(cls).parts)[name]
        values = getattr(layout, "wire_of", [old, 1 if old == 0 else 0])
        other = next(value for value in values if value != old)
        seen.add(cmd_crc(opcode, message._replace(**{name: other})))
    assert len(seen) == 2 + len(fields)


def test_names_are_those_of_the_opcodes() -> None:
    assert COMMANDS[Opcode.BOLUS_COMMIT].name == "BOLUS_COMMIT"
    assert COMMANDS[Opcode.PING].request is Ping
    assert COMMANDS[Opcode.PING].response is PingReply
