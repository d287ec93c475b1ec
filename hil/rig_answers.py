"""What a rig control's address and answers are, and the errors that its refusals become. No connection here."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from hil.errors import BadConfiguration, BenchLost, InUse, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = TypeVar("Row")
LEASE_HAS_ENDED = "this lease has ended"  # how the bench begins its sentence about one


def place_of(url: str) -> tuple[str, int]:
    """Host and port of a rig control; BadConfiguration where the address names none."""
    try:
        place = urlsplit(url if "//" in url else f"http://{url}")
        host, port = place.hostname, place.port
    except ValueError:
        host, port = None, None
    if not host or not port or place.scheme != "http" or not url.isprintable() or " " in url:
        raise BadConfiguration(f"{url!r} is no address of a rig control", advice="write http://HOST:PORT")
    return host, port


def parsed(text: bytes) -> dict[str, Any]:
    """An answer; empty where it is no JSON object."""
    try:
        answer = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        answer = {}
    return answer if isinstance(answer, dict) else {}


def refusal(status: int, answer: Mapping[str, Any], what: str, url: str) -> Exception:
    """The error that an answer with a status from 400 on is."""
    sentence = str(answer.get("error") or answer.get("detail") or f"status {status}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return BadConfiguration(
            f"rig control at {url} refused: {sentence}", advice="use the token of the ready line"
        )
    if status == HTTPStatus.LOCKED:
        return InUse(f"rig control at {url} refused {what}: {sentence}")
    if status == HTTPStatus.CONFLICT and sentence.startswith(LEASE_HAS_ENDED):
        return BenchLost(
            f"rig control at {url} refused {what}: {sentence}",
            advice="begin anew, and ask the rig for something before half of the lease is over",
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BenchLost(f"rig control failed at {what}: {sentence}", advice="see the emulator's stderr")
    return UsageError(f"rig control refused {what}: {sentence}")


def row(kind: type[Row], answer: Mapping[str, Any]) -> Row:
    """A named tuple of what an answer says under the tuple's own names."""
    return kind(**{name: answer[name] for name in kind.__annotations__})
