"""The least client: one session over any pair of send and receive. No retries, no ledger.

For measuring what stands at the other end; `hil.programmer` is the client for everything else.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from protocol.codec.layouts import decode, encode
from protocol.identifiers import Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import development_key
from protocol.link.events import Response, SessionOpened
from protocol.registry import command_of


class SystemEntropy:
    """The host's generator."""

    def draw(self, length: int) -> bytes:
        """Random bytes."""
        return secrets.token_bytes(length)


def host_ms() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class Client:
    """Asks and waits for the answer; anything else than an answer is an error of the bench."""

    def __init__(
        self,
        send: Callable[[bytes], object],
        receive: Callable[[], bytes],
        now_ms: Callable[[], int] = host_ms,
        role: Role = Role.CLINICIAN,
    ) -> None:
        self._send = send
        self._receive = receive
        self._now_ms = now_ms
        self.end = ClientEnd(key=development_key(role), entropy=SystemEntropy(), secured=True)

    def open(self) -> None:
        """Open a session."""
        self.end.open(self._now_ms())
        event = self._event()
        if type(event) is not SessionOpened:
            raise RuntimeError(f"no session: {event}")

    def ask(self, request: Any) -> Any:
        """The answer to one request."""
        row = command_of(type(request))
        self.end.request(row.opcode, encode(request), self._now_ms())
        match self._event():
            case Response(payload=payload):
                return decode(row.response, payload, allow_tail=True)
            case event:
                raise RuntimeError(f"no answer: {event}")

    def _event(self) -> object:
        while True:
            event = self.end.next_event(self._now_ms())
            if event is not None:
                return event
            output = self.end.take_output()
            if output:
                self._send(output)
            self.end.feed(self._receive(), self._now_ms())
