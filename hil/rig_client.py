"""Rig control from any process: the HTTP client of a bench, with the standard library alone.

One connection, kept. A bench that does not answer is lost; what it refuses is told in its own sentence.
"""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from hil.errors import BadConfiguration, BenchLost, UsageError
from hil.rig import Rig, RigClock, RigEvent, RigFault, RigState, RigTone, RunResult

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = TypeVar("Row")

TIMEOUT_S = 120.0  # years of virtual time may pass in one request


class RigClient(Rig):
    """The rig of a bench that runs elsewhere."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        place = urlsplit(url if "//" in url else f"//{url}")
        if not place.hostname or not place.port:
            raise BadConfiguration(f"{url!r} is no address of a rig control", advice="write http://HOST:PORT")
        self._url = url
        self._token = token
        self._connection = http.client.HTTPConnection(place.hostname, place.port, timeout=timeout_s)
        self.last_now_ms: int | None = None

    def state(self) -> RigState:
        return _row(RigState, self._request("GET", "/v1/state"))

    def clock(self) -> RigClock:
        return _row(RigClock, self._request("GET", "/v1/clock"))

    def set_speed(self, speed: int) -> RigClock:
        return _row(RigClock, self._request("PUT", "/v1/clock", {"speed": speed}))

    def set_mode(self, mode: str) -> RigClock:
        """Change how time runs: real, manual."""
        return _row(RigClock, self._request("PUT", "/v1/clock", {"mode": mode}))

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        body = {"ms": duration_ms} | _given(after_received=after_received)
        return int(self._request("POST", "/v1/clock/advance", body)["now_ms"])

    def run_until(self, what: str, limit_ms: int) -> RunResult:
        answer = self._request("POST", "/v1/clock/run-until", {"what": what, "limit_ms": limit_ms})
        events = tuple(_row(RigEvent, event) for event in answer["events"])
        return RunResult(answer["now_ms"], answer["reached"], events)

    def power_cut(self, after_writes: int | None = None, torn_after_bytes: int | None = None) -> None:
        self._request(
            "POST", "/v1/power/cut", _given(after_writes=after_writes, torn_after_bytes=torn_after_bytes)
        )

    def power_restore(self, off_ms: int = 0) -> bool:
        return bool(self._request("POST", "/v1/power/restore", {"off_ms": off_ms})["was_off"])

    def aspirate(self, volume_nl: int | None = None) -> int:
        return int(self._request("POST", "/v1/syringe/aspirate", _given(nl=volume_nl))["nl"])

    def fill(self, volume_nl: int, concentration_ng_per_ml: int | None = None) -> int:
        body = {"nl": volume_nl} | _given(concentration_ng_per_ml=concentration_ng_per_ml)
        return int(self._request("POST", "/v1/syringe/fill", body)["nl"])

    def faults(self) -> tuple[RigFault, ...]:
        rows = self._request("GET", "/v1/faults")["faults"]
        return tuple(
            _row(RigFault, row | {"parameters": tuple(each["name"] for each in row["parameters"])})
            for row in rows
        )

    def inject(self, fault: str, **parameters: int) -> None:
        self._request("PUT", f"/v1/faults/{quote(fault, safe='')}", {"on": True, "parameters": parameters})

    def clear(self, fault: str) -> None:
        self._request("PUT", f"/v1/faults/{quote(fault, safe='')}", {"on": False})

    def tones(self) -> tuple[RigTone, ...]:
        return tuple(_row(RigTone, row) for row in self._request("GET", "/v1/tones")["tones"])

    def shutdown(self) -> None:
        self._request("POST", "/v1/shutdown", {})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, body=content, headers=headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise BenchLost(
                f"rig control at {self._url} does not answer ({error or type(error).__name__})",
                advice="check that the emulator runs",
            ) from error
        answer = _parsed(text)
        if status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(status, answer, f"{method} {path}", self._url)
        now_ms = answer.get("now_ms")
        self.last_now_ms = int(now_ms) if now_ms is not None else self.last_now_ms
        return answer


def _given(**fields: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {}
    return answer if isinstance(answer, dict) else {}


def _refusal(status: int, answer: Mapping[str, Any], what: str, url: str) -> Exception:
    sentence = str(answer.get("error") or answer.get("detail") or f"status {status}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return BadConfiguration(
            f"rig control at {url} refused: {sentence}", advice="use the token of the ready line"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BenchLost(f"rig control failed at {what}: {sentence}", advice="see the emulator's stderr")
    return UsageError(f"rig control refused {what}: {sentence}")


def _row(kind: type[Row], answer: Mapping[str, Any]) -> Row:
    """A named tuple of what an answer says under the tuple's own names."""
    return kind(**{name: answer[name] for name in kind.__annotations__})
