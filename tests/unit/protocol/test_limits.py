"""The limits of the wire fit each other, and are tested by numbers that stand in the tests."""

from __future__ import annotations

import ast
from pathlib import Path

from protocol.wire import limits
from tests.support.for_each import for_each

REPEATS = len(limits.TIMEOUTS_MS) - 1
PATIENCE_MS = sum(limits.TIMEOUTS_MS)
# a failed proof costs two unproven answers, PUMP_HELLO and HS_REJECT
MS_TO_PUSH_A_KEY_OUT = limits.BACK_OFF_ENTRIES * 2 * limits.BUDGET_WINDOW_MS // limits.HELLO_PER_MIN

RELATIONS = [
    ("the frame of SPEC 3 has 248 bytes", limits.MAX_DECODED_BYTES == 248),
    ("a frame is one COBS block: exactly one byte of overhead", limits.MAX_ENCODED_BYTES < 254),
    ("every good frame fits the receiver", limits.MAX_ENCODED_BYTES <= limits.RECEIVE_LIMIT_BYTES),
    ("each repeat of a patient client's HELLO is answered", REPEATS <= limits.HELLO_REPEATS),
    ("each repeat of its PROOF is answered", REPEATS <= limits.PROOF_REPEATS),
    ("each repeat of its request is answered", REPEATS <= limits.ANSWER_REPEATS),
    ("a HELLO given up is not yet forgotten by the pump", PATIENCE_MS < limits.HALF_OPEN_MS),
    ("a client that only repeats does not lose its session", PATIENCE_MS < limits.TAKE_OVER_IDLE_MS),
    ("an unused session ends for being unused", limits.SESSION_IDLE_MS < limits.SESSION_LIFE_MS),
    ("one answer a request, and room for events", limits.REQUEST_CTR_MAX < limits.PUMP_CTR_MAX),
    ("the buckets cover any 24 h", limits.BUDGET_BUCKETS * limits.BUDGET_BUCKET_MS >= 25 * 3_600_000),
    (
        "nobody can push a key_id out of the back-off table before its back-off ends",
        MS_TO_PUSH_A_KEY_OUT > limits.BACK_OFF_MAX_S * 1_000,
    ),
]


@for_each(("relation", "holds"), RELATIONS, name=lambda case: case[0])
def test_limits_fit_each_other(relation: str, holds: bool) -> None:
    assert holds, relation


def test_no_test_imports_the_limit_that_it_checks() -> None:
    root = Path(__file__).parents[3]
    files = [file for place in ("tests/unit", "hil/suite") for file in sorted((root / place).rglob("*.py"))]
    assert len(files) > 50
    imported = [
        f"{file.relative_to(root)} imports {name.name}"
        for file in files
        if limits.__name__ in (source := file.read_text())  # to parse all of them takes seconds
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == limits.__name__
        for name in node.names
        if name.name.isupper()
    ]
    assert imported == [], "write the number of SPEC instead: a test that imports it agrees with any value"
