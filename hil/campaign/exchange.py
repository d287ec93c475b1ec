"""A client's end of the link before a pump in this process, which answers at once: until nothing is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.link.client_end import ClientEnd
    from protocol.link.events import ClientEvent


def news_of(client: ClientEnd, now_ms: int) -> list[ClientEvent]:
    """What has happened at this end until now."""
    news = []
    while (event := client.next_event(now_ms)) is not None:
        news.append(event)
    return news


def exchange(client: ClientEnd, carry: Callable[[bytes], bytes], now_ms: int) -> list[ClientEvent]:
    """Carry what the client sends, and what comes back, until nothing is on its way."""
    news = news_of(client, now_ms)
    while sent := client.take_output():
        client.feed(carry(sent), now_ms)
        news += news_of(client, now_ms)
    return news
