"""The connections of rig control, by rules that give few places and little time to who has not shown the token.

Whoever holds the token is always served, whatever strangers do: a connection is a stranger's until a request
on it has shown the token. Strangers have `STRANGERS_MAX` places; the oldest of them with nothing to say makes
room for the next. A request's head has a deadline.

asyncio takes connections by `accept` of the listening socket, so the rules stand there.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from firmware_emu.bench.ports.accepting import Acceptor
from firmware_emu.bench.ports.tcp import BACKLOG

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGERS_MAX = 12
HOLDERS_MAX = 48
HEAD_S = 5.0  # from the connection to the end of the first request's head

Peer = tuple[str, int]


class Connections:
    """The open connections by the address of their other end. All times are of the clock that was handed in."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._strangers: dict[Peer, tuple[socket.socket, float]] = {}  # oldest first, with when it came
        self._holders: dict[Peer, socket.socket] = {}
        self.hung_up = 0
        """Strangers that had to make room, or were too slow."""

    def came(self, peer: Peer, connection: socket.socket) -> None:
        """A connection was accepted; nobody knows yet whose it is."""
        self._forget_closed()
        self._strangers[peer] = connection, self._now_s()
        while len(self._strangers) > STRANGERS_MAX:
            self.make_room()

    def is_holder(self, peer: Peer) -> bool:
        """Note that a request on this connection has shown the token; False where holders have too many."""
        if peer in self._holders or peer not in self._strangers:
            return True
        if len(self._holders) >= HOLDERS_MAX:
            return False
        self._holders[peer] = self._strangers.pop(peer)[0]
        return True

    def sweep(self) -> None:
        """Hang up on strangers whose time is over."""
        self._forget_closed()
        too_old_s = self._now_s() - HEAD_S
        for peer in [peer for peer, (_, came_s) in self._strangers.items() if came_s <= too_old_s]:
            self._hang_up(peer)

    def make_room(self) -> bool:
        """Hang up on the oldest stranger of which nothing waits to be read, else on the oldest; False without any."""
        if not self._strangers:
            return False
        silent = (peer for peer, (each, _) in self._strangers.items() if not _has_something_to_say(each))
        self._hang_up(next(silent, next(iter(self._strangers))))
        return True

    def _hang_up(self, peer: Peer) -> None:
        connection, _ = self._strangers.pop(peer)
        self.hung_up += 1
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # its owner reads the end of file, and closes it

    def _forget_closed(self) -> None:
        self._strangers = {peer: each for peer, each in self._strangers.items() if each[0].fileno() >= 0}
        self._holders = {peer: each for peer, each in self._holders.items() if each.fileno() >= 0}


class GuardedListener(socket.socket):
    """A listening socket that hands out connections one by one, by the rules of `Connections`."""

    def __init__(self, listener: socket.socket, connections: Connections) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self.setblocking(False)
        self._connections = connections
        self._acceptor = Acceptor()

    def listen(self, _backlog: int = BACKLOG, /) -> None:
        """Keep our own backlog: the caller's is how many it would take at once."""
        super().listen(BACKLOG)

    def accept(self) -> tuple[socket.socket, Peer]:
        """The next connection. BlockingIOError where there is none, also for want of descriptors."""
        accepted = self._acceptor.accept(super().accept, self._connections.make_room)
        if accepted is None:
            raise BlockingIOError
        connection, address = accepted
        self._connections.came(address[:2], connection)
        return connection, address

    def close(self) -> None:
        """Stop listening."""
        self._acceptor.close()
        super().close()


def _has_something_to_say(connection: socket.socket) -> bool:
    """Whether bytes wait to be read: a holder's request may lie there still."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:  # nothing waits, or the connection is closed
        return False
