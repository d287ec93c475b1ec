"""Every answer of rig control, good or bad, in many states of a bench, held against `/openapi.json` by `jsonschema`."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from firmware_emu.bench.rig.guard import WRONG_TOKENS_MAX, body_limit_bytes
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.units import MS_PER_DAY
from tests.support.patience import PATIENCE_S
from tests.support.soak import part_of
from tests.unit.bench.processes import ThreadBench
from tests.unit.bench.test_lease import BODIES

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKS = (
    "/v1/state",
    "/v1/clock",
    "/v1/faults",
    "/v1/lease",
    "/v1/tones",
    "/v1/profile",
    "/v1/trace",
    "/v1/trace/0",
    "/v1/snapshots",
)
STREAMS = ("/v1/events", "/v1/events/{since}")
"""They have no end: `test_event_stream` reads them."""
REAL = {"{name}": "magnet", "{since}": "0"}


def real_path(path: str) -> str:
    """A path of the description with its places filled in."""
    for place, value in REAL.items():
        path = path.replace(place, value)
    return path


SNAPSHOT = "/v1/snapshots/magnet"
"""The name that stands for every name here; one is kept before each try of its paths, since one of them takes it."""
GOOD: list[tuple[str, str, Any]] = [
    ("PUT", SNAPSHOT, None),
    ("GET", SNAPSHOT, None),
    ("POST", "/v1/clock/advance", {"ms": 1}),
    ("POST", f"{SNAPSHOT}/restore", {"memory_id": "0123456789abcdef"}),
    ("POST", f"{SNAPSHOT}/restore", None),
    ("DELETE", SNAPSHOT, None),
    ("PUT", SNAPSHOT, {"snapshot": None}),
    ("PUT", "/v1/clock", {"speed": 1_000_000}),
    ("PUT", "/v1/clock", {"mode": "real"}),
    ("PUT", "/v1/clock", {"mode": "manual"}),
    ("POST", "/v1/clock/advance", {"ms": 1}),
    ("POST", "/v1/clock/advance", {"ms": 1.0, "after_received": 0}),
    ("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": 60 * MS_PER_DAY}),
    ("POST", "/v1/clock/run-until", {"what": "event", "limit_ms": 60 * MS_PER_DAY}),
    ("POST", "/v1/clock/run-until", {"what": "event", "limit_ms": 0}),
    (
        "POST",
        "/v1/clock/run-until",
        {"what": "event", "name": "DAY_TOTAL", "count": 2, "limit_ms": 3 * MS_PER_DAY},
    ),
    ("POST", "/v1/clock/run-until", {"what": "alarm", "name": "EMPTY", "cleared": True, "limit_ms": 1}),
    *(
        (
            "POST",
            "/v1/clock/run-until",
            {"what": side, "limit_ms": 1, "field": field, "operator": "!=", "value": value},
        )
        for side, field, value in (
            ("truth", "ran_dry_at_ms", None),
            ("truth", "stalled", True),
            ("truth", "edges", -1),
            ("belief", "state", "STOP"),
        )
    ),
    ("POST", "/v1/syringe/aspirate", {"nl": 1_000}),
    ("POST", "/v1/syringe/aspirate", None),
    ("POST", "/v1/syringe/fill", {"nl": 1_000}),
    ("POST", "/v1/syringe/fill", {"nl": 1_000, "concentration_ng_per_ml": 5}),
    ("POST", "/v1/power/cut", {"after_writes": 1_000_000}),
    ("POST", "/v1/power/restore", None),
    ("POST", "/v1/power/cut", {"after_writes": 1, "torn_after_bytes": 3}),
    ("POST", "/v1/clock/advance", {"ms": MS_PER_DAY}),
    ("POST", "/v1/power/restore", {"off_ms": 5}),
    ("POST", "/v1/power/cut", {}),
    ("POST", "/v1/clock/advance", {"ms": MS_PER_DAY}),
    ("PUT", "/v1/clock", {"mode": "real"}),
    ("PUT", "/v1/clock", {"mode": "manual"}),
    ("POST", "/v1/power/restore", {}),
    *(
        ("PUT", f"/v1/faults/{fault.name}", body)
        for fault in FAULTS.values()
        for body in (
            {"on": True, "parameters": {each.name: each.lowest for each in fault.parameters}},
            {"on": False},
        )
    ),
    ("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": 60 * MS_PER_DAY}),
]
BAD_BODIES: list[Any] = [
    b"",
    b"null",
    b"[]",
    b"not JSON",
    b"[" * 60_000,
    b'{"\\ud800": 1}',
    {"unknown": {"a": [1]}},
    {"ms": "5", "what": 3, "on": 1, "who": " ", "nl": -1, "mode": "lunch", "off_ms": -1, "after_writes": 0},
]
BAD_HEADERS: list[tuple[dict[str, str], int]] = [
    ({"Authorization": "Bearer wrong"}, 401),
    ({"Host": "attacker.example"}, 403),
    ({"Origin": "http://attacker.example"}, 403),
    ({"Content-Length": "2", "Transfer-Encoding": "chunked"}, 400),
    ({"Content-Length": "two"}, 400),
    ({"Transfer-Encoding": "chunked"}, 411),
    ({"Content-Type": "text/plain"}, 415),
    ({"Pumpbench-Lease": "invented"}, 409),
]


class Walk:
    """Asks, and holds each answer against the description."""

    def __init__(self, bench: ThreadBench) -> None:
        self._bench = bench
        self.document = bench.rig("GET", "/openapi.json")
        self.seen: dict[tuple[str, str], set[int]] = {
            (method.upper(), path): set()
            for path, item in self.document["paths"].items()
            for method in item
            if path not in STREAMS
        }
        self.others: set[int] = set()
        """What was told of paths and methods that are not there."""
        self.answer: Any = None
        self._components = closed(self.document["components"])
        self._validators: dict[tuple[str, str, int], jsonschema.Draft202012Validator] = {}

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> int:
        """One request; returns the status of its answer, which is as described and kept in `answer`."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self._bench.ready['token']}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self._bench.control_place, timeout=PATIENCE_S)
        connection.request(method, path, content, sent | (headers or {}))
        response = connection.getresponse()
        status, self.answer = response.status, json.loads(response.read())
        assert response.headers.get_content_type() == "application/json", (method, path)
        connection.close()
        place = (method, re.sub("^/v1/faults/.*", "/v1/faults/{name}", path))
        place = (method, re.sub("^/v1/trace/.*", "/v1/trace/{since}", place[1]))
        place = (method, re.sub("^/v1/snapshots/[^/]*", "/v1/snapshots/{name}", place[1]))
        if place in self.seen:
            self.seen[place].add(status)
        else:
            assert status >= 400, (method, path)
            self.others.add(status)
        if (*place, status) not in self._validators:
            self._validators[*place, status] = self._validator(*place, status)
        self._validators[*place, status].validate(self.answer)
        return status

    def _validator(self, method: str, path: str, status: int) -> jsonschema.Draft202012Validator:
        """What holds an answer against its description; what is told of a path that is not there is an error."""
        schema = {"$ref": "#/components/schemas/Error"}
        if (method, path) in self.seen:
            answers = self.document["paths"][path][method.lower()]["responses"]
            schema = answers[str(status)]["content"]["application/json"]["schema"]
        return jsonschema.Draft202012Validator(schema | {"components": self._components})

    def keep_for(self, path: str) -> None:
        """Keep the snapshot that a path is about, if it is about one."""
        assert not path.startswith(SNAPSHOT) or self.ask("PUT", SNAPSHOT) == 200

    def look(self) -> None:
        """Every look that there is."""
        for path in LOOKS:
            assert self.ask("GET", path) == 200


def closed(schema: Any) -> Any:
    """The schemas without room for fields that they do not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    extra = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return extra | {name: closed(each) for name, each in schema.items()}


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    bench = ThreadBench(seed=3)
    yield Walk(bench)
    bench.close()


def test_every_schema_of_the_description_is_one(walk: Walk) -> None:
    for schema in walk.document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_answer_is_as_described_in_every_state_of_the_bench() -> None:
    bench = ThreadBench(seed=3)
    walk = Walk(bench)
    walk.look()
    looks_after = part_of("looks after a verb", range(len(GOOD)), one_in=20)
    for number, verb in enumerate(GOOD):
        assert walk.ask(*verb) == 200, (verb, walk.answer)
        if number in looks_after:
            walk.look()
    assert walk.ask("PUT", "/v1/lease", {"who": "rig A", "seconds": 60}) == 200
    holder = {"Pumpbench-Lease": walk.answer["lease"]}
    walk.look()
    for method, path in walk.seen:
        real = real_path(path)
        status = walk.ask(method, real, BODIES.get(real, {}))
        assert status == (200 if method == "GET" else 423), (method, path)
    assert walk.ask("PUT", "/v1/lease", {"who": "rig A", "seconds": 60}, holder) == 200
    assert walk.ask("DELETE", "/v1/lease", None, holder) == 200
    assert walk.ask("DELETE", "/v1/lease", None, holder) == 409
    for method, path in walk.seen:
        real = real_path(path)
        for body in BAD_BODIES:
            walk.keep_for(real)
            if path != "/v1/shutdown" or body:
                assert walk.ask(method, real, body) in {200, 400, 422}, (method, path, body)
        too_long = {"Content-Length": f"000{body_limit_bytes(method, real) + 1}"}
        for headers, expected in (*BAD_HEADERS, (too_long, 413)):
            has_body = not {"Transfer-Encoding", "Content-Length"} & set(headers)
            body = json.dumps(BODIES.get(real, {})).encode() if has_body else None
            walk.keep_for(real)
            status = walk.ask(method, real, body, headers)
            if expected in {409, 415} and method in {"GET", "DELETE"}:
                assert status in {200, 409}, (method, path, headers)
            else:
                assert status == expected or (expected, status) == (401, 429), (method, path, headers)
        for other in {"GET", "PUT", "POST", "DELETE", "PATCH"} - {
            each for each, place in walk.seen if place == path
        }:
            assert walk.ask(other, real) == 405
    assert walk.ask("GET", "/v1/nothing") == walk.ask("POST", "/", b"{}") == 404
    for _ in range(WRONG_TOKENS_MAX + 1):
        status = walk.ask("GET", "/v1/state", headers={"Authorization": "Bearer wrong"})
    assert status == 429
    walk.look()
    assert walk.ask("POST", "/v1/shutdown", {}) == 200
    bench.close()
    assert all(200 in statuses for statuses in walk.seen.values()), walk.seen
    seen = walk.others.union(*walk.seen.values())
    assert seen >= {200, 400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 423, 429}, seen
