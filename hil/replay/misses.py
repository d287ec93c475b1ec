"""What is said of a request that the recording does not have where the conversation stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.frame_words import value_text
from hil.replay.matching import Asked, Unlike, is_in_the_way, unlike
from protocol.identifiers import Kind, Opcode

if TYPE_CHECKING:
    from hil.replay.conversation import Exchange
    from hil.replay.values import Values

FIELDS_SHOWN = 3
VALUE_CHARACTERS = 40


class Miss(NamedTuple):
    """A request without a counterpart, in a sentence; and the exchange that can stand in for it, None without one."""

    sentence: str
    stand_in: Exchange | None


class _Candidate(NamedTuple):
    differing: list[Unlike]
    place: int


def miss(exchanges: list[Exchange], position: int, request: Asked, values: Values) -> Miss:
    """Why this request is not the next of its kind, by the recorded one that is nearest to it.

    Only what a pump has said before the next command that changed something can stand in: what it said after that is
    not so yet.
    """
    barrier = next(
        (index for index in range(position, len(exchanges)) if is_in_the_way(exchanges[index], request)),
        len(exchanges),
    )
    candidates = [
        _Candidate(unlike(exchange, request, values), index)
        for index, exchange in enumerate(exchanges)
        if exchange.opcode == request.opcode
    ]
    name = opcode_words(request.opcode)
    if not candidates:
        return Miss(f"{name} was asked, and the recording has none", None)
    ahead = [each for each in candidates if position <= each.place <= barrier]
    nearest = min(ahead or candidates, key=lambda each: _distance(each, position))
    within = [
        each for each in candidates if each.place < barrier and _can_stand_in(exchanges[each.place], each)
    ]
    stand_in = min(within, key=lambda each: _distance(each, position), default=None)
    why = _why(exchanges, nearest, position, barrier)
    return Miss(
        f"{name} was asked, and the recording has none like it here: {why}",
        None if stand_in is None else exchanges[stand_in.place],
    )


def _distance(candidate: _Candidate, position: int) -> tuple[int, int]:
    """By how many fields it differs, and how far away it is."""
    return len(candidate.differing), abs(candidate.place - position)


def _can_stand_in(exchange: Exchange, candidate: _Candidate) -> bool:
    """Whether it was answered, and to somebody of the same role."""
    answered = exchange.answer is not None and exchange.answer.kind is Kind.RESPONSE
    return answered and all(each.field != "role" for each in candidate.differing)


def _why(exchanges: list[Exchange], nearest: _Candidate, position: int, barrier: int) -> str:
    """What sets it apart from the nearest one, or why that cannot be reached."""
    packet = f"packet {exchanges[nearest.place].number}"
    if nearest.differing:
        shown = nearest.differing[:FIELDS_SHOWN]
        fields = ", ".join(
            f"{each.field} was {_cut(each.recorded)} and is {_cut(each.asked)}" for each in shown
        )
        more = len(nearest.differing) - len(shown)
        return f"in {packet}, the nearest, {fields}{f', and {more} more fields' if more else ''}"
    if nearest.place < position:
        return f"{packet} is the same, and the conversation is past it"
    if nearest.place <= barrier:
        return f"{packet} is the same, and what was said there is not so in this run"
    command = exchanges[barrier]
    return (
        f"{packet} is the same, and comes after {opcode_words(command.opcode)} of packet {command.number}, "
        "which was not sent in this run"
    )


def _cut(value: object) -> str:
    """A value in words, and not more of it than fits into a sentence."""
    text = value_text(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."


def opcode_words(opcode: int) -> str:
    """The name of an opcode; its number where it has none here."""
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"opcode 0x{opcode:02X}"
