"""Each row of the attacks on keys and roles (3), on therapy (5) and on rig control (9) is named by a test."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {3: 14, 5: 12, 9: 11}  # part: how many rows it has
ROW = r"[0-9]+[._][0-9]+"
NAMING = re.compile(rf"attacks?[ _]({ROW}(?:(?:, | and |_and_){ROW})*)", re.IGNORECASE)


def named_in(text: str) -> set[str]:
    """Rows that a text names: `attack 3.4`, `attacks 5.3 and 5.12`, `test_attack_3_10_no_key...`."""
    rows = (row for names in NAMING.findall(text) for row in re.findall(ROW, names))
    return {row.replace("_", ".") for row in rows}


def test_names_of_rows_are_read_as_tests_write_them() -> None:
    text = "# Floods: attacks 3.5, 3.6\ndef test_attacks_5_3_and_5_12_a_stop() -> None: '''Attack 3.10: 4 keys'''"
    assert named_in(text) == {"3.5", "3.6", "5.3", "5.12", "3.10"}


def test_every_row_of_the_attacks_on_roles_therapy_and_rig_control_has_a_test_that_names_it(
    root: Path, python_files: list[Path]
) -> None:
    tests = [path for path in python_files if path.name.startswith("test_") and path.parts[1] != "house"]
    named = set().union(*(named_in((root / path).read_text()) for path in tests))
    rows = {f"{part}.{row}" for part, count in ROWS.items() for row in range(1, count + 1)}
    assert not rows - named
