"""Which recorded request a request is, and what sets the two apart where it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.replay.conversation import ACT_ALWAYS
from hil.replay.values import KIND_OF_FIELD, Values, Volatile
from protocol.codec.atoms import Malformed
from protocol.codec.layouts import decode
from protocol.identifiers import Opcode
from protocol.messages.keys import KeyAdd
from protocol.messages.time import GetTime, TimeSet
from protocol.registry import command_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.replay.conversation import Exchange
    from protocol.identifiers import Role
    from protocol.messages.command import Command

OF_THE_MOMENT: Final = {GetTime: ("client_ms",), TimeSet: ("wall_s",), KeyAdd: ("wrapped",)}
"""What a programmer says anew each time: its own clock, the time of day, a key that is sealed for one request."""


class Asked(NamedTuple):
    """A request of this run. `message` is None where this version cannot read it."""

    role: Role
    opcode: int
    payload: bytes
    message: Any
    command: Command | None


def asked(role: Role, opcode: int, payload: bytes) -> Asked:
    """A request as it came, read as far as it can be."""
    command = command_at(opcode)
    message: Any = None
    if command is not None:
        try:
            message = decode(command.request, payload)
        except Malformed:
            message = None
    return Asked(role, opcode, payload, message, command)


def only_asks(command: Command | None) -> bool:
    """Whether a command changes nothing in a pump: it may be sent while an outcome is unknown, and is about no id."""
    return (
        command is not None
        and command.while_unknown
        and not command.carries_cmd_id
        and command.opcode not in {Opcode.QUERY_CMD, Opcode.VOID_CMD}
    )


def is_in_the_way(exchange: Exchange, request: Asked) -> bool:
    """Whether a request cannot be one that the recording has behind this exchange.

    What a pump said after a command is not so before it. So nothing passes a command that changed the ledger, and a
    question passes none that may have changed anything.
    """
    if exchange.changed_the_ledger:
        return True
    return only_asks(request.command) and exchange.was_accepted and not only_asks(exchange.command)


class Unlike(NamedTuple):
    """A field in which a request is another than a recorded one."""

    field: str
    recorded: object
    asked: object


def unlike(exchange: Exchange, request: Asked, values: Values) -> list[Unlike]:
    """In what a request differs from a recorded one; empty where it is that one.

    Of one opcode. What a programmer chooses anew each time may differ; an id that this run has used already must be
    the one that it stands for.
    """
    differing = []
    role = None if exchange.greeting is None else exchange.greeting.role
    if role not in {None, request.role}:
        differing.append(Unlike("role", role, request.role))
    if exchange.request is None or request.message is None:
        if exchange.payload != request.payload:
            differing.append(Unlike("payload", exchange.payload.hex(), request.payload.hex()))
        return differing
    ignored = OF_THE_MOMENT.get(type(request.message), ())
    is_own = request.command is not None and request.command.carries_cmd_id
    pairs = zip(fields_of(exchange.request), fields_of(request.message), strict=False)
    for (name, recorded), (other_name, now) in pairs:
        same = name == other_name and _is_same(
            name, recorded, now, values, is_new=is_own and name == "cmd_id"
        )
        same = same or (name == "cmd_id" and request.opcode in ACT_ALWAYS)
        if name not in ignored and not same:
            differing.append(Unlike(name, recorded, now))
    if not differing and len(list(fields_of(exchange.request))) != len(list(fields_of(request.message))):
        differing.append(Unlike("length", len(exchange.payload), len(request.payload)))
    return differing


def _is_same(name: str, recorded: Any, now: Any, values: Values, *, is_new: bool) -> bool:
    kind = KIND_OF_FIELD.get(name.rpartition(".")[2])
    if kind not in {Volatile.COMMAND_ID, Volatile.KEY}:
        return bool(recorded == now)
    if values.is_known(kind, recorded) or values.was_known(kind, now):
        return bool(values.to_run(kind, recorded) == now)
    return is_new or bool(recorded == now)


def fields_of(message: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a message, those of its parts among them, by their names."""
    for name, part in zip(message._fields, message, strict=True):
        yield from _fields_of_part(f"{before}{name}", part)


def _fields_of_part(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(part, "_fields"):
        yield from fields_of(part, f"{name}.")
    elif isinstance(part, tuple):
        for index, each in enumerate(part):
            yield from _fields_of_part(f"{name}.{index}", each)
    else:
        yield name, part
