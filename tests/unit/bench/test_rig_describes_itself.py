"""Rig control and its description at `/openapi.json`: what the one says, the other does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from firmware_emu.bench.rig.guard import BODY_MAX_BYTES, body_limit_bytes
from firmware_emu.controller.controller import Belief
from firmware_emu.plant.truth import Truth
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_BODY = {"put", "post"}


@pytest.fixture(scope="module")
def bench() -> Iterator[ThreadBench]:
    """One bench under manual time; nothing that is asked of it here takes effect but what changes nothing."""
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def document(bench: ThreadBench) -> Any:
    return bench.rig("GET", "/openapi.json")


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not path.startswith("/v1/events"):  # which has no end
                yield method, path.replace("{name}", "magnet").replace("{since}", "0"), operation


def resolved(document: Any, schema: Any) -> Any:
    """A schema, or the one that it refers to."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def body_schema(document: Any, operation: Any) -> Any:
    return resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])


def fits(schema: Any, value: Any) -> bool:
    """What JSON Schema says of a value."""
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


WRONG: list[tuple[dict[str, str], bytes, int]] = [
    ({"Authorization": "Bearer wrong"}, b"{}", 401),
    ({"Host": "attacker.example"}, b"{}", 403),
    ({"Content-Length": "2", "Transfer-Encoding": "chunked"}, b"{}", 400),
    ({"Content-Length": "two"}, b"", 400),
    ({"Transfer-Encoding": "chunked"}, b"", 411),
    ({}, b" " * (BODY_MAX_BYTES + 1), 413),
    ({"Content-Type": "text/plain"}, b"{}", 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, b"{}", 415),
    ({"Content-Type": ""}, b"{}", 415),
    ({}, b"not JSON", 422),
    ({}, b'{"unknown": 1}', 422),
    ({}, b"[" * 60_000, 400),
    ({}, b'{"ms": ' + b"9" * 5_000 + b"}", 400),
]


@pytest.mark.parametrize(("headers", "body", "expected"), WRONG)
def test_each_refusal_of_each_verb_is_one_sentence_in_json_and_stands_in_the_description(
    bench: ThreadBench, document: Any, headers: dict[str, str], body: bytes, expected: int
) -> None:
    for method, path, operation in operations(document):
        if method not in WITH_BODY and expected not in {401, 403}:
            continue
        longest_bytes = body_limit_bytes(method.upper(), path)
        if expected == 413 and longest_bytes > BODY_MAX_BYTES:  # too much to send it all before the answer
            status, answer = bench.ask(method.upper(), path, b"", {"Content-Length": str(longest_bytes + 1)})
        else:
            status, answer = bench.ask(method.upper(), path, body, headers)
        assert status == expected or (expected, status) in {(401, 429), (400, 422)}, (method, path, answer)
        assert set(answer) == {"error"}
        described = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        assert described == {"$ref": "#/components/schemas/Error"}
    assert bench.rig("GET", "/v1/clock")["now_ms"] == 0


def test_a_method_that_is_not_there_comes_before_what_its_body_is(bench: ThreadBench) -> None:
    for method, path in (("POST", "/v1/state"), ("POST", "/v1/clock"), ("PUT", "/v1/tones")):
        status, answer = bench.ask(method, path, b"x", {"Content-Type": "text/plain"})
        assert (status, set(answer)) == (405, {"error"})
    assert bench.ask("POST", "/v1/nothing", b"x", {"Content-Type": "text/plain"})[0] == 404


def test_a_body_of_which_every_field_is_optional_may_be_left_out_as_the_description_says(
    bench: ThreadBench, document: Any
) -> None:
    for method, path, operation in operations(document):
        if method not in WITH_BODY or path in {"/v1/shutdown", "/v1/clock"}:
            continue
        required = bool(body_schema(document, operation).get("required"))
        assert operation["requestBody"].get("required", False) == required, path
        for length in ({}, {"Content-Length": "0"}):
            status, answer = bench.ask(method.upper(), path, None, {"Content-Type": "text/plain", **length})
            assert status == (422 if required else 200), (path, answer)
        bench.rig("POST", "/v1/power/restore")


@pytest.mark.parametrize("number", [6541711.0, 6541711, 0.0, 1e3, 1.5, -1.0, 1e300, True, "5", None])
def test_a_number_is_the_integer_that_json_schema_has_it_for(
    bench: ThreadBench, document: Any, number: object
) -> None:
    operation = document["paths"]["/v1/clock/advance"]["post"]
    properties = body_schema(document, operation)["properties"]
    status, _answer = bench.ask("POST", "/v1/clock/run-until", {"what": "lunch", "limit_ms": number})
    assert status == 422
    is_right = fits(properties["ms"], number)
    assert is_right == (type(number) is not bool and number in {6541711, 0, 1000})
    body = {"on": True, "parameters": {"duration_ms": number}}
    status, _answer = bench.ask("PUT", "/v1/faults/motor-stall", body)
    assert (status == 200) == (is_right or number is None)
    bench.rig("PUT", "/v1/faults/motor-stall", {"on": False})
    status, _answer = bench.ask("POST", "/v1/power/cut", {"after_writes": 1000, "torn_after_bytes": number})
    assert (status == 200) == (is_right or number is None)
    bench.rig("POST", "/v1/power/restore")


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    *(
        ("post", "/v1/power/cut", {"after_writes": 9} | body)
        for body in ({}, {"torn_after_bytes": 3}, {"torn_after_bytes": None})
    ),
    ("post", "/v1/power/cut", {"torn_after_bytes": 3}),
    ("post", "/v1/power/cut", {"torn_after_bytes": None}),
    ("post", "/v1/power/cut", {"torn_after_bytes": 3, "after_writes": None}),
    *(
        ("post", "/v1/clock/run-until", {"limit_ms": 0} | body)
        for body in (
            {"what": "event"},
            {"what": "event", "name": "BOOT", "count": 3, "cleared": False, "value": None},
            {"what": "event", "cleared": True},
            {"what": "event", "field": "edges"},
            {"what": "alarm", "cleared": True, "name": "EMPTY"},
            {"what": "alarm", "operator": "<"},
            {"what": "truth"},
            {"what": "truth", "field": "edges"},
            {"what": "truth", "field": "edges", "operator": "<", "value": 5.0, "count": 1},
            {"what": "truth", "field": "edges", "operator": "<", "value": 5.5},
            {"what": "truth", "field": "edges", "operator": "<", "value": [5]},
            {"what": "truth", "field": "edges", "operator": "<", "value": 1 << 100},
            {"what": "truth", "field": "edges", "operator": "<", "value": 5, "count": 2},
            {"what": "belief", "field": "state", "operator": "==", "value": "RUN", "cleared": None},
            {"what": "belief", "field": "state", "operator": "==", "value": "RUN", "name": "RUN"},
            {"what": "belief", "field": "state", "operator": "=", "value": "RUN"},
        )
    ),
    ("put", "/v1/clock", {}),
    ("put", "/v1/clock", {"mode": None, "speed": None}),
    ("put", "/v1/clock", {"mode": "manual"}),
    ("put", "/v1/clock", {"mode": "manual", "speed": None}),
    ("put", "/v1/clock", {"mode": "manual", "speed": 5}),
    ("put", "/v1/clock", {"speed": 5.0}),
    ("put", "/v1/clock", {"speed": 5.5}),
    ("put", "/v1/faults/magnet", {"on": True}),
    ("put", "/v1/faults/magnet", {"on": False, "parameters": {}}),
    ("put", "/v1/faults/magnet", {"on": False, "parameters": {"near": 1}}),
]


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
def test_fields_that_go_together_or_not_are_described_as_they_are_taken(
    bench: ThreadBench, document: Any, method: str, path: str, body: dict[str, Any]
) -> None:
    operation = document["paths"][path.replace("magnet", "{name}")][method]
    status, answer = bench.ask(method.upper(), path, body)
    assert fits(body_schema(document, operation), body) == (status == 200), answer
    bench.rig("PUT", "/v1/clock", {"mode": "manual"})
    bench.rig("POST", "/v1/power/restore", {})
    bench.rig("PUT", "/v1/faults/magnet", {"on": False})


@pytest.mark.parametrize("kind", [Truth, Belief])
def test_truth_and_belief_are_described_field_by_field(bench: ThreadBench, document: Any, kind: Any) -> None:
    described = document["components"]["schemas"][kind.__name__]
    shown = bench.rig("GET", "/v1/state")[kind.__name__.lower()]
    assert tuple(described["properties"]) == kind._fields == tuple(shown)
    assert described["required"] == list(kind._fields)
    assert fits(described, shown)
    nullable = {name for name, schema in described["properties"].items() if fits(schema, None)}
    assert nullable == {name for name, hint in kind.__annotations__.items() if "None" in str(hint)}
    state = document["components"]["schemas"]["RigState"]["properties"][kind.__name__.lower()]
    assert f"#/components/schemas/{kind.__name__}" in json.dumps(state)


def test_every_verb_is_described_with_the_token_that_it_needs(document: Any) -> None:
    ((name, scheme),) = document["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for _method, path, operation in operations(document):
        assert operation["security"] == [{name: []}], path
