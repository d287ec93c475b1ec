"""The table of commands: opcode, request, answer, and who may send it when [SPEC 6, 9, 10].

One row a command; everything that code asks about a command is a column here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from protocol import commands, reports
from protocol.checksum import crc32c
from protocol.identifiers import Opcode, Role
from protocol.layouts import declaration_of, encode, offset_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_O, _P, _C, _S = Role.OBSERVER, Role.PATIENT, Role.CLINICIAN, Role.SERVICE


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table.

    `therapy`: refused at end of service. `carries_cmd_id`: goes through the ledger, and its answer opens with
    CR; QUERY_CMD and VOID_CMD name an id, but of another command. `while_unknown`: a client may send it while
    the outcome of another command is unknown. `pairing`: only in an open pairing window.
    """

    opcode: Opcode
    request: type
    response: type
    roles: frozenset[Role]
    therapy: bool = False
    carries_cmd_id: bool = False
    while_unknown: bool = False
    pairing: bool = False

    @property
    def name(self) -> str:
        """As in the tables of SPEC 6."""
        return self.opcode.name


def _row(opcode: Opcode, roles: str, *words: str) -> Command:
    """A row from its opcode; request and answer are the classes named after it."""
    name = "".join(part.capitalize() for part in opcode.name.split("_"))
    letters = {"O": _O, "P": _P, "C": _C, "S": _S}
    request = getattr(commands, name)
    return Command(
        opcode=opcode,
        request=request,
        response=getattr(reports, name + "Reply"),
        roles=frozenset(letters[letter] for letter in roles),
        therapy="therapy" in words,
        carries_cmd_id="cmd_id" in words,
        while_unknown="while_unknown" in words,
        pairing="pairing" in words,
    )


_ROWS = (
    _row(Opcode.GET_STATUS, "OPCS", "while_unknown"),
    _row(Opcode.GET_INFO, "OPCS", "while_unknown"),
    _row(Opcode.GET_LIMITS, "OPCS", "while_unknown"),
    _row(Opcode.GET_TIME, "OPCS", "while_unknown"),
    _row(Opcode.GET_PROGRAM, "OPCS", "while_unknown"),
    _row(Opcode.GET_DELIVERY, "OPCS", "while_unknown"),
    _row(Opcode.GET_LINK_STATS, "CS", "while_unknown"),
    _row(Opcode.GET_ALARMS, "OPCS", "while_unknown"),
    _row(Opcode.GET_RESERVOIR, "OPCS", "while_unknown"),
    _row(Opcode.BOLUS_PREPARE, "C", "therapy"),
    _row(Opcode.BOLUS_COMMIT, "C", "therapy", "cmd_id"),
    _row(Opcode.QUERY_CMD, "PCS", "while_unknown"),
    _row(Opcode.VOID_CMD, "PCS", "while_unknown"),
    _row(Opcode.BOLUS_CANCEL, "PCS", "cmd_id", "while_unknown"),
    _row(Opcode.STOP, "PCS", "cmd_id", "while_unknown"),
    _row(Opcode.RESUME, "PC", "therapy", "cmd_id"),
    _row(Opcode.PATIENT_BOLUS, "P", "therapy", "cmd_id"),
    _row(Opcode.PROG_BEGIN, "C"),
    _row(Opcode.PROG_WRITE, "C"),
    _row(Opcode.PROG_VERIFY, "C"),
    _row(Opcode.PROG_COMMIT, "C", "therapy", "cmd_id"),
    _row(Opcode.PROG_ABORT, "C"),
    _row(Opcode.PRIME, "C", "therapy", "cmd_id"),
    _row(Opcode.LOG_READ, "OPCS", "while_unknown"),
    _row(Opcode.LOG_STATUS, "OPCS", "while_unknown"),
    _row(Opcode.ALARM_ACK, "PC"),
    _row(Opcode.ALARM_TEST, "C"),
    _row(Opcode.TIME_SET, "C", "therapy", "cmd_id"),
    _row(Opcode.REFILL, "C", "therapy", "cmd_id"),
    _row(Opcode.CONFIG_READ, "C", "while_unknown"),
    _row(Opcode.CONFIG_WRITE, "C"),
    _row(Opcode.SUBSCRIBE, "OPCS", "while_unknown"),
    _row(Opcode.KEY_ADD, "C", "pairing"),
    _row(Opcode.KEY_REVOKE, "C", "pairing"),
    _row(Opcode.KEY_LIST, "C", "pairing", "while_unknown"),
    _row(Opcode.SELF_TEST, "S"),
    _row(Opcode.PING, "OPCS", "while_unknown"),
    _row(Opcode.END_SESSION, "OPCS", "while_unknown"),
)

COMMANDS: Mapping[Opcode, Command] = MappingProxyType({row.opcode: row for row in _ROWS})
EVENTS: Mapping[Opcode, type] = MappingProxyType({Opcode.EVENT_HINT: reports.EventHint})

_BY_CLASS = {cls: row for row in _ROWS for cls in (row.request, row.response)}
_CRC_CUTS: dict[type, tuple[tuple[int, int], ...]] = {}


def command_of(message_type: type) -> Command:
    """The row of a request's or an answer's class."""
    return _BY_CLASS[message_type]


def cmd_crc(opcode: int, message: Any) -> int:
    """CRC-32C of opcode and payload without token and confirm: the content of a command [SPEC 9]."""
    cls = type(message)
    if cls not in _CRC_CUTS:
        fields = declaration_of(cls).not_in_cmd_crc
        _CRC_CUTS[cls] = tuple(sorted((offset_of(cls, name) for name in fields), reverse=True))
    payload = encode(message)
    for start, stop in _CRC_CUTS[cls]:
        payload = payload[:start] + payload[stop:]
    return crc32c(bytes((opcode,)) + payload)
