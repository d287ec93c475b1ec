"""Accepts connections of a listener without spinning, also where this process has no descriptors left.

A listener that cannot accept stays readable, and a loop that asks it again at once burns a core. One spare
descriptor is kept: given up for a moment, it lets the connection be taken and closed.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from firmware_emu.bench.errors import OUT_OF_RESOURCES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Accepted = tuple[socket.socket, Any]
    """A connection, and the address of its other end."""
    Accept = Callable[[], Accepted]
    """`accept` of a non-blocking listener."""


class Acceptor:
    """Accepts from one listener, one connection a call."""

    def __init__(self) -> None:
        self._spare: int | None = _spare_descriptor()
        self.turned_away = 0
        """Connections that were closed at once, since there was no descriptor for them."""

    def accept(self, accept: Accept, make_room: Callable[[], bool] = lambda: False) -> Accepted | None:
        """The next of `accept`, or None. `make_room` may free a descriptor soon; it returns whether it did."""
        try:
            return accept()
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES and not make_room():
                self._turn_away(accept)
            return None  # else it has gone again

    def close(self) -> None:
        """Give the spare descriptor back."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _turn_away(self, accept: Accept) -> None:
        self.close()
        with contextlib.suppress(OSError):
            connection, _address = accept()
            self.turned_away += 1
            connection.close()
        self._spare = _spare_descriptor()


def _spare_descriptor() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
