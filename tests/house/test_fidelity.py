"""FIDELITY.md gives each row a tier that there is, and names what holds it by a path that there is."""

from __future__ import annotations

import re
from pathlib import Path

TIERS = {"modelled", "compared with a published figure", "assumed"}


def rows(root: Path, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    text = (root / "firmware_emu/FIDELITY.md").read_text()
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_row_has_a_tier_a_source_and_a_test_that_is_there(root: Path) -> None:
    told = [*rows(root, "Modelled"), *rows(root, "Simplified")]
    assert {row[3] for row in told} == TIERS
    for row in told:
        assert len(row) == 5, row
        assert "DOMAIN" in row[2], row
        assert (root / row[4].strip("`")).is_file(), row


def test_what_is_compared_names_the_figure(root: Path) -> None:
    for row in rows(root, "Modelled"):
        if row[3].startswith("compared"):
            assert re.search(r"WE-[0-9]{2}|S[0-9]", row[2]), row


def test_what_is_not_modelled_says_why_that_matters(root: Path) -> None:
    assert all(len(row) == 3 and row[1] and "DOMAIN" in row[2] for row in rows(root, "Not modelled"))
