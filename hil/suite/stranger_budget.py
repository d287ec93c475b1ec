"""Manners towards a pump that is not made anew for each test: it answers strangers only so often [SPEC 4, H4, H5].

What one test used up of the energy budget would silence the pump in the next. So each greeting waits, in line time,
until the pump has room for what may follow it, and no key is left in its back-off. Where each test gets a new pump,
none of this is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.identifiers import Handshake, Kind, RejectReason

if TYPE_CHECKING:
    from hil.channel import Channel
    from protocol.frame import Frame

MINUTE_MS = 60_000
MAY_FOLLOW = 3  # unproven answers that one greeting of a test may draw, at most


class StrangerBudget:
    """Unproven answers that the pump gave lately, by line time, and keys whose last proof failed."""

    def __init__(self, per_minute: int | None = None) -> None:
        self.per_minute = per_minute  # as announced; None: nobody has to wait
        self.failed_key_ids: set[int] = set()
        self._greeted_ms: list[int] = []
        self._doubted_ms: list[int] = []  # refusals and hints: they get half of the budget

    def note(self, frame: Frame, key_id: int, now_ms: int) -> None:
        """Take in a frame of the pump: unproven ones count, and a proof gives its greeting back."""
        if frame.flags:
            return
        if (frame.kind, frame.opcode) == (Kind.HANDSHAKE, Handshake.PUMP_PROOF):
            self.failed_key_ids.discard(key_id)
            del self._greeted_ms[-1:]
        elif (frame.kind, frame.opcode) == (Kind.HANDSHAKE, Handshake.PUMP_HELLO):
            doubtful = key_id in self.failed_key_ids
            (self._doubted_ms if doubtful else self._greeted_ms).append(now_ms)
        else:
            self._doubted_ms.append(now_ms)
            if frame.kind is Kind.HANDSHAKE and frame.body[0] == RejectReason.PROOF:
                self.failed_key_ids.add(key_id)

    def wait_for_room(self, channel: Channel) -> None:
        """Let line time pass until the pump may answer what follows a greeting."""
        while self.per_minute is not None:
            now_ms = channel.now_ms()
            self._greeted_ms = [at_ms for at_ms in self._greeted_ms if now_ms - at_ms <= MINUTE_MS]
            self._doubted_ms = [at_ms for at_ms in self._doubted_ms if now_ms - at_ms <= MINUTE_MS]
            drawn_ms = sorted(self._greeted_ms + self._doubted_ms)
            if len(self._doubted_ms) > self.per_minute // 2 - MAY_FOLLOW:
                channel.receive(self._doubted_ms[0] + MINUTE_MS + 1)
            elif len(drawn_ms) > self.per_minute - MAY_FOLLOW:
                channel.receive(drawn_ms[0] + MINUTE_MS + 1)
            else:
                return
