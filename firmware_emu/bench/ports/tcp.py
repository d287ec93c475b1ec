"""A TCP line on loopback: for programs that cannot open a device, and for machines without PTYs.

One line a pump, as with a cable: while a client is connected a second one is hung up on, and the log says so
once. What it has sent is read until it leaves, so that it meets an end of file and never a reset. A client
that has closed makes room at once, also where its end of file lies behind bytes that nobody has read. Never
listens beyond this machine: the line carries a pump's therapy, and its development keys are published.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import selectors
import socket
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError, TakenError
from firmware_emu.bench.ports.accepting import Acceptor
from firmware_emu.bench.ports.port import Port

if TYPE_CHECKING:
    from firmware_emu.bench.ports.port import Say

READ_BYTES = 16_384
LEFT_READ_BYTES = 1 << 20  # read of a client in one turn to learn whether it has gone
REFUSED_KEPT_MAX = 8  # refused clients that are let finish what they are sending
REFUSED_MAX_BYTES = 65_536  # of each: who has more to say is no client that came too late
BACKLOG = 128
PORT_MAX = 65_535


def parse_loopback(text: str) -> tuple[str, int]:
    """Read `host:port` where the host is this machine; port 0 lets the system choose."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port[:6]) > PORT_MAX:
        raise BadConfigurationError(
            f"{text!r} is no address; write 127.0.0.1:0 to let the system choose a port"
        )
    if host == "localhost":
        host = "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise BadConfigurationError(
            f"{host} is not a loopback address; the line to a pump is offered to this machine alone, as 127.0.0.1:0"
        )
    return host, int(port)


def listen_on_loopback(text: str) -> socket.socket:
    """A listening socket on `host:port`, without blocking. The protocol is named, or TCP_NODELAY is not inherited."""
    host, port = parse_loopback(text)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise TakenError(
            f"cannot listen on {host}:{port}: {error.strerror}; port 0 lets the system choose a free one"
        ) from error
    listener.settimeout(0)
    return listener


def address_of(listener: socket.socket) -> str:
    """`host:port` as a client writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class TcpPort(Port):
    """A listener and at most one client."""

    def __init__(self, address: str, say: Say) -> None:
        self._say = say
        self._listener = listen_on_loopback(address)
        super().__init__(address_of(self._listener))
        self._client: socket.socket | None = None
        self._client_ended = False
        self._watched = 0
        self._acceptor = Acceptor()
        self._refused: dict[socket.socket, int] = {}  # with the bytes that each has sent since
        self._refusals = 0  # since the present client came
        self._told_of_descriptors = False

    def attach(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def send(self, data: bytes) -> None:
        """Put whole frames on the line; without a client they are lost, as on a cable pulled out."""
        if self._client is None:
            self._queue.dropped_bytes += len(data)
            return
        idle = not self._queue.waiting_bytes
        self._queue.push(data)
        if idle:
            self._drain(self._client)

    def close(self) -> None:
        self._selector = None
        self._hang_up()
        for refused in list(self._refused):
            self._let_go(refused)
        self._listener.close()
        self._acceptor.close()

    def _accept(self, _events: int) -> None:
        if self._client is not None and not self._client_ended and self._is_leaving(self._client):
            return  # the newcomer waits in the backlog until the rest of the bytes before it is read
        accepted = self._acceptor.accept(self._listener.accept)
        if accepted is None:
            if self._acceptor.turned_away and not self._told_of_descriptors:
                self._told_of_descriptors = True
                self._say(f"{self.address}: no descriptors left for clients; raise the limit (ulimit -n)")
            return
        client = accepted[0]
        client.settimeout(0)
        if self._client is not None and self._client_ended:
            self._hang_up()  # it said goodbye and only never read the rest
        if self._client is not None:
            self._refuse(client)
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._client_ended = False
        self._watch(client, selectors.EVENT_READ)
        self._greet()

    def _greet(self) -> None:
        """Say to a new client what the line itself has to say: on bare TCP nothing."""

    def _is_leaving(self, client: socket.socket) -> bool:
        """Read what the client has sent, as far as a turn goes; True where it has closed and more is left."""
        left_bytes = LEFT_READ_BYTES
        while read_bytes := self._read(client):
            left_bytes -= read_bytes
            if left_bytes <= 0:
                return _has_closed(client)
        return False

    def _refuse(self, client: socket.socket) -> None:
        """Hang up, and read what comes until the other end has seen it: closing at once could reset the line."""
        if not self._refusals:
            self._say(f"refused a second client: {self.address} has its client already; one line a pump")
        self._refusals += 1
        if self._selector is None:
            client.close()
            return
        if len(self._refused) >= REFUSED_KEPT_MAX:
            self._let_go(next(iter(self._refused)))
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        self._refused[client] = 0
        self._selector.register(client, selectors.EVENT_READ, lambda _events: self._drain_refused(client))

    def _drain_refused(self, client: socket.socket) -> None:
        if client not in self._refused:
            return  # it had to make room in this very turn
        try:
            data = os.read(client.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._refused[client] += len(data)
        if not data or self._refused[client] > REFUSED_MAX_BYTES:
            self._let_go(client)

    def _let_go(self, client: socket.socket) -> None:
        if self._selector is not None:
            self._selector.unregister(client)
        del self._refused[client]
        client.close()

    def _watch(self, client: socket.socket, events: int) -> None:
        """Ask the selector to call for these events, if it does not do so already."""
        if events == self._watched or self._selector is None:
            return
        if not self._watched:
            self._selector.register(client, events, self._ready)
        elif events:
            self._selector.modify(client, events, self._ready)
        else:
            self._selector.unregister(client)
        self._watched = events

    def _ready(self, events: int) -> None:
        client = self._client
        if client is None:
            return
        if events & selectors.EVENT_READ:
            self._read(client)
        if events & selectors.EVENT_WRITE and self._client is client:
            self._drain(client)

    def _read(self, client: socket.socket) -> int:
        """Read one chunk; how many bytes came, 0 where there was none."""
        try:
            data = os.read(client.fileno(), READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0
        if data:
            self._keep(data)
            return len(data)
        self._client_ended = True  # it may still read what it asked for
        if self._queue.waiting_bytes:
            self._watch(client, selectors.EVENT_WRITE)
        else:
            self._hang_up()
        return 0

    def _drain(self, client: socket.socket) -> None:
        try:
            empty = self._queue.drain(client.fileno())
        except OSError:
            self._hang_up()
            return
        if empty and self._client_ended:
            self._hang_up()
            return
        read = 0 if self._client_ended else selectors.EVENT_READ
        self._watch(client, read if empty else read | selectors.EVENT_WRITE)

    def _hang_up(self) -> None:
        client = self._client
        if client is None:
            return
        self._watch(client, 0)
        if self._refusals > 1:
            self._say(f"{self._refusals} clients were refused while {self.address} had its client")
        self._refusals = 0
        self._client = None
        self._queue.clear()
        client.close()


def _has_closed(client: socket.socket) -> bool:
    """Whether its other end is known to be closed, however much is unread; False where the system does not tell."""
    closed = getattr(select, "POLLRDHUP", 0)
    look = select.poll()
    look.register(client, closed)
    return any(events & closed for _descriptor, events in look.poll(0))
