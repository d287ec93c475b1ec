"""A client's end of the link, driven by a test: what it has to say goes out, what comes is fed, what happened is told.

`exchange` is for a pump in this process that answers at once, `next_event` for a line on which time passes. Who stands
at the other end is the test's business: a pump's end alone, a whole pump, a channel with faults, a port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.channel import Channel
    from protocol.link.client_end import ClientEnd
    from protocol.link.events import ClientEvent

PATIENCE_MS = 20_000


def next_event(
    client: ClientEnd, channel: Channel, *, send: Callable[[bytes], None] | None = None
) -> ClientEvent | None:
    """The next thing that happens, repeats of the client included; None if nothing does for a long time."""
    until_ms = channel.now_ms() + PATIENCE_MS
    while channel.now_ms() < until_ms:
        event = client.next_event(channel.now_ms())
        if event is not None:
            return event
        if output := client.take_output():
            (send or channel.send)(output)
        deadline_ms = client.deadline_ms()
        arrived = channel.receive(until_ms if deadline_ms is None else min(until_ms, deadline_ms))
        client.feed(arrived, channel.now_ms())
    return None
