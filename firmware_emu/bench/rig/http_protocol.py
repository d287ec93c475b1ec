"""What rig control does with the bytes of a connection, besides what uvicorn does: whatever comes is answered in JSON.

Bytes that are no HTTP are refused as everything else is, also in the middle of a request. A request that is whole is
answered, also where the client has closed its half of the connection behind it (`shutdown(SHUT_WR)`); one that is not
is refused then; nor can who reads what has no end be told from who is gone. No other protocol is spoken. Knows no verb
of rig control, and no token.
"""

from __future__ import annotations

import json

from uvicorn.protocols.http.h11_impl import H11Protocol

ENDLESS = "endless"
"""In the state of a request: its answer has no end."""


class HttpProtocol(H11Protocol):
    """One connection of rig control, where uvicorn alone would be silent, answer in plain text or log."""

    _half_closed = False

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it; uvicorn always hangs up
        """Keep our half of the connection while something whole is still to be answered."""
        self._half_closed = True
        self._end_if_answered()
        return not self.transport.is_closing()

    def on_response_complete(self) -> None:
        """Go on with what was sent behind it, if anything."""
        super().on_response_complete()
        if self._half_closed and not self.transport.is_closing():
            self._end_if_answered()

    def _end_if_answered(self) -> None:
        """Hang up unless a whole request waits for its answer: no more can come."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.scope["state"].get(ENDLESS):
            self.transport.abort()  # a reader that is gone would hold its place until it is next told something
        elif self.cycle.more_body:
            self.send_400_response("the request ends in the middle of its body")

    def _should_upgrade(self) -> bool:
        """Nothing else is spoken here; who asks for it gets the answer in HTTP, and nobody a warning."""
        return False

    def send_400_response(self, msg: str) -> None:
        """Say so unless an answer is on its way already, and hang up."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            self.cycle.disconnected = True  # what the application still has to say goes nowhere
            self.cycle.message_event.set()
        if not (answering and self.cycle.response_started):
            self.transport.write(_not_http(msg))
        self.transport.close()


def _not_http(sentence: str) -> bytes:
    """A whole answer to bytes that are no request."""
    body = json.dumps({"error": sentence}).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
