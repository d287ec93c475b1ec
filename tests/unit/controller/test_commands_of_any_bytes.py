"""Any opcode with any bytes in a good session: a defined answer, never a crash, and volumes that still agree."""

from __future__ import annotations

from random import Random

from firmware_emu.controller.commands.table import HANDLERS
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol.codec.layouts import decode, encode
from protocol.identifiers import (
    ErrorCode,
    Opcode,
    Role,
)
from protocol.link.events import Refusal, Response
from protocol.messages.program import ProgBegin, ProgVerify, ProgWrite, Segment
from protocol.messages.reading import GetStatus
from protocol.registry import COMMANDS, command_of
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.for_each import for_each
from tests.support.requests import REQUESTS
from tests.support.soak import part_of

LENGTHS = (0, 1, 2, 4, 5, 6, 10, 12, 13, 14, 20, 28, 102, 223, 224)
# What this pump has a handler for; the rest is refused whatever it says.
HANDLED = {Opcode(opcode): REQUESTS[Opcode(opcode)] for opcode in HANDLERS}


def answer_to(talk: Conversation, opcode: int, payload: bytes) -> Response | Refusal:
    """The answer of the pump; there is always one."""
    answer = talk.raw(opcode, payload)
    assert answer is not None, f"no answer to {opcode:#04x} {payload.hex()}"
    if isinstance(answer, Response):
        decode(command_of(COMMANDS[Opcode(opcode)].request).response, answer.payload)
    return answer


@for_each("role", Role)
def test_every_opcode_at_many_lengths_is_answered_or_refused(role: Role) -> None:
    talk = Conversation(Conversation.with_new_pump(profile_of()).pump, role)
    random = Random(role)
    for opcode in part_of(f"opcodes as {role.name}", range(256), one_in=4):
        exact = {len(encode(HANDLED[Opcode(opcode)]))} if opcode in HANDLED else set()
        for length in sorted({*LENGTHS, *exact, *(n + 1 for n in exact)}):
            for payload in (bytes(length), random.randbytes(length)):
                answer = answer_to(talk, opcode, payload)
                if opcode not in HANDLERS:
                    assert isinstance(answer, Refusal)
                    assert answer.error.code is ErrorCode.UNSUPPORTED_OP
                elif role not in COMMANDS[Opcode(opcode)].roles:
                    assert isinstance(answer, Refusal)
                    assert answer.error.code is ErrorCode.ROLE
    talk.wait(MS_PER_HOUR)
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_length_other_than_the_exact_one_is_refused_and_changes_nothing() -> None:
    by_role = {role: Conversation(Conversation.with_new_pump().pump, role) for role in Role}
    for opcode, message in HANDLED.items():
        payload = encode(message)
        asked = by_role[max(COMMANDS[opcode].roles & {Role.PATIENT, Role.CLINICIAN} or {Role.SERVICE})]
        for wrong in (payload + b"\0", payload[:-1]):
            if wrong != payload:
                answer = answer_to(asked, opcode, wrong)
                assert isinstance(answer, Refusal)
                assert answer.error.code is ErrorCode.LENGTH, opcode.name
    assert {talk.granted(GetStatus()).last_cmd_id for talk in by_role.values()} == {0}


# Least, one, greatest with a sign, least with a sign, greatest: little endian, of each width.
_EXTREMES = {
    width: [number.to_bytes(width, "little") for number in (0, 1, half - 1, half, 2 * half - 1)]
    for width, half in ((1, 1 << 7), (2, 1 << 15), (4, 1 << 31))
}


@for_each("opcode", HANDLED, one_in=2)
def test_extremes_in_every_field_are_taken_or_refused(opcode: Opcode) -> None:
    """Each one, two and four bytes of a good request are set to the ends of what they can say."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
    good = encode(HANDLED[opcode])
    cmd_id = 1
    for offset in range(len(good)):
        for width, extremes in _EXTREMES.items():
            for extreme in extremes:
                payload = good[:offset] + extreme + good[offset + width :]
                if COMMANDS[opcode].carries_cmd_id and offset >= 4:
                    payload = cmd_id.to_bytes(4, "little") + payload[4:]
                    cmd_id += 1
                answer_to(talk, opcode, payload[: len(good)])
        talk.wait(MS_PER_HOUR // 4)
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


def test_a_program_of_extremes_is_read_back_with_refusals() -> None:
    talk = Conversation.with_new_pump()
    for dose in (0, 1, 0xFFFF_FFFF):
        for concentration in (0, 1, 0xFFFF_FFFF):
            for rate in (0, 1, 0xFFFF_FFFF):
                for start_min in (0, 1_440, 0xFFFF):
                    talk.granted(ProgBegin(1, simple_header(dose, concentration)))
                    talk.granted(ProgWrite(0, (Segment(start_min, rate),)))
                    assert talk.granted(ProgVerify()).refusals
    assert talk.granted(GetStatus()).rate_nl_per_day == 600_000
