"""Commands: the request, its reply, the opcode, and who may send it when [SPEC 6, 9, 10].

Each stands in a row right behind its messages; `protocol.registry` collects the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from protocol.identifiers import Opcode, Role

Reply_co = TypeVar("Reply_co", covariant=True)

_ROLE_OF_LETTER = {"O": Role.OBSERVER, "P": Role.PATIENT, "C": Role.CLINICIAN, "S": Role.SERVICE}


class Request(Protocol[Reply_co]):
    """A message that asks. It knows the class of its reply, so that who asks knows what is answered."""

    @staticmethod
    def reply_class() -> type[Reply_co]:
        """The class of its reply."""
        ...


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

    @classmethod
    def of(cls, opcode: Opcode, request: type[Request[Any]], roles: str, **words: bool) -> Command:
        """A row. `roles` has a letter for each role that may send it, of OPCS; `words` are the other fields."""
        allowed = frozenset(_ROLE_OF_LETTER[letter] for letter in roles)
        return cls(opcode, request, request.reply_class(), allowed, **words)


_DECLARED: dict[Opcode, Command] = {}


def command(opcode: Opcode, request: type[Request[Any]], roles: str, **words: bool) -> None:
    """Declare a command of this wire, with what `Command.of` takes. TypeError where the opcode has one already."""
    if opcode in _DECLARED:
        raise TypeError(f"{opcode.name} is declared twice")
    _DECLARED[opcode] = Command.of(opcode, request, roles, **words)


def declared_commands() -> tuple[Command, ...]:
    """Every command of the modules imported so far, by opcode."""
    return tuple(_DECLARED[opcode] for opcode in sorted(_DECLARED))
