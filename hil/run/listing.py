"""The tests that there are, as text and as JSON: name, requirements, what each needs of its target. No pytest here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA_NAME = "pumpbench-tests"
SCHEMA_VERSION = 1
FORMS = ("text", "json")


class ListedTest(NamedTuple):
    """One test."""

    name: str
    requirements: tuple[str, ...]
    needs: tuple[str, ...]


def listing(tests: Iterable[ListedTest], form: str) -> str:
    """One test a line (name, requirements, needs; "-" for none), or one JSON document; with its last newline."""
    if form == "json":
        schema = {"name": SCHEMA_NAME, "version": SCHEMA_VERSION}
        return json.dumps({"schema": schema, "tests": [test._asdict() for test in tests]}, indent=2) + "\n"
    return "".join(
        f"{test.name}  {','.join(test.requirements) or '-'}  {','.join(test.needs) or '-'}\n"
        for test in tests
    )
