"""What makes a request a command: its opcode, its reply, and who may send it when [SPEC 6, 9, 10].

`@command` stands above each request; `protocol.registry` collects them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from protocol.identifiers import Opcode, Role

if TYPE_CHECKING:
    from collections.abc import Callable

Reply_co = TypeVar("Reply_co", covariant=True)

_ROLE_OF_LETTER = {"O": Role.OBSERVER, "P": Role.PATIENT, "C": Role.CLINICIAN, "S": Role.SERVICE}


class Request(Protocol[Reply_co]):
    """A message that asks, and knows the class of its reply, so that whoever asks knows the type of the answer."""

    @staticmethod
    def reply_class() -> type[Reply_co]:
        """The class of its reply."""


RequestClass = TypeVar("RequestClass", bound=type[Request[Any]])


class Command(NamedTuple):
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
        """The row of a command; `roles` has a letter of OPCS for each role, `words` are the other fields."""
        allowed = frozenset(_ROLE_OF_LETTER[letter] for letter in roles)
        return cls(opcode, request, request.reply_class(), allowed, **words)


_DECLARED: dict[Opcode, tuple[type[Request[Any]], str, dict[str, bool]]] = {}


def command(opcode: Opcode, roles: str, **words: bool) -> Callable[[RequestClass], RequestClass]:
    """Declare the request below as a command of this wire; `roles` and `words` are those of `Command.of`.

    TypeError where the opcode has a command already.
    """

    def declare(request: RequestClass) -> RequestClass:
        if opcode in _DECLARED:
            raise TypeError(f"{opcode.name} is declared twice")
        _DECLARED[opcode] = (request, roles, words)
        return request

    return declare


def declared_commands() -> dict[Opcode, Command]:
    """Every command of the modules imported so far, in the order of their opcodes."""
    return {
        opcode: Command.of(opcode, request, roles, **words)
        for opcode, (request, roles, words) in sorted(_DECLARED.items())
    }
