"""Requirements and claims match: every requirement has a test, and every claim is a requirement."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

CLAIMING = ("hil/suite/", "tests/suite/", "tests/simulation/", "tests/unit/")


class UnreadableClaimError(Exception):
    """A claim that this test cannot read, so that it cannot count."""


def claims_in(source: str) -> set[str]:
    """Ids claimed by `@verifies("ID", ...)` on test functions and test classes."""
    claimed: set[str] = set()
    if "verifies" not in source:
        return claimed
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if not (isinstance(decorator, ast.Call) and _is_verifies(decorator.func)):
                continue
            if not node.name.lower().startswith("test"):
                raise UnreadableClaimError(f"{node.name} claims a requirement and is no test")
            for argument in decorator.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise UnreadableClaimError(f"{node.name} claims something that is not a plain string")
                claimed.add(argument.value)
    return claimed


def _is_verifies(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id == "verifies") or (
        isinstance(function, ast.Attribute) and function.attr == "verifies"
    )


@pytest.fixture(scope="module")
def requirements(root: Path) -> list[dict[str, str]]:
    document = tomllib.loads((root / "fixtures/requirements.toml").read_text())
    return [{"id": name, **entry} for name, entry in document.items()]


@pytest.fixture(scope="module")
def claimed(root: Path, python_files: list[Path]) -> dict[str, set[str]]:
    claims: dict[str, set[str]] = {}
    for path in python_files:
        if path.as_posix().startswith(CLAIMING):
            for requirement in claims_in((root / path).read_text()):
                claims.setdefault(requirement, set()).add(path.as_posix())
    return claims


def test_every_requirement_has_a_test_or_says_where_it_is_argued(
    requirements: list[dict[str, str]], claimed: dict[str, set[str]], root: Path
) -> None:
    tested = [row for row in requirements if row.get("verified_by", "test") == "test"]
    assert {row["id"]: row["sentence"] for row in tested if row["id"] not in claimed} == {}
    for row in requirements:
        if row not in tested:
            page, _, heading = row["evidence"].partition("#")
            assert re.search(rf"^#+ {re.escape(heading)}$", (root / page).read_text(), re.MULTILINE), row


def test_every_claim_is_a_requirement(
    requirements: list[dict[str, str]], claimed: dict[str, set[str]]
) -> None:
    known = {row["id"] for row in requirements}
    assert {claim: paths for claim, paths in claimed.items() if claim not in known} == {}


def test_each_requirement_is_a_sentence_with_an_id_of_its_own_and_a_source(
    requirements: list[dict[str, str]],
) -> None:
    assert requirements
    for row in requirements:
        how = row.get("verified_by", "test")
        assert how in {"test", "analysis", "review"}, row
        extra = {"evidence"} if how != "test" else set()
        assert set(row) - {"verified_by"} == {"id", "sentence", "source"} | extra, row
        assert re.fullmatch(r"[A-Z]{3}-\d{3}", row["id"]), row
        assert re.fullmatch(r"[A-Z0-9].*[A-Za-z0-9]\.", row["sentence"]), row
        assert re.fullmatch(r"(DOMAIN|SPEC) [A-Z0-9][A-Z0-9.-]*( [A-Z][0-9]+)?", row["source"]), row


def test_claims_are_found_and_unreadable_ones_are_refused() -> None:
    assert claims_in('@verifies("A-1", "A-2")\ndef test_x(): ...\n') == {"A-1", "A-2"}
    assert claims_in('@needs("time")\n@hil.verifies("A-1")\nclass TestX: ...\n') == {"A-1"}
    assert claims_in('# @verifies("A-1")\ndef test_x(): ...\n') == set()
    with pytest.raises(UnreadableClaimError, match="is no test"):
        claims_in('@verifies("A-1")\ndef fill(): ...\n')
    with pytest.raises(UnreadableClaimError, match="plain string"):
        claims_in("@verifies(NAME)\ndef test_x(): ...\n")
