"""Files and functions stay small enough to be read in one go, and names say what is inside."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 80
# A drawer for everything is a room without a door.
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "tools", "util", "utils"}


def long_functions(source: str) -> list[str]:
    """Name and length of each function above the limit, from `def`: a table of options above it is a table."""
    found: list[str] = []
    if source.count("\n") < MAX_FUNCTION_LINES:
        return found
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                found.append(f"{node.name}: {lines} lines")
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement within a node, and what has statements in it. Expressions are most of a file, and passed over."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from statements(child)


def begins_with_a_docstring(source: str) -> bool:
    """Whether the first thing in a file that is no comment is a string."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return (
        next(each.type for each in tokens if each.type not in (tokenize.COMMENT, tokenize.NL))
        == tokenize.STRING
    )


def vague_parts(path: Path) -> set[str]:
    """Parts of the path that name a drawer: `utils/x.py`, `rotor_helpers.py`."""
    return {part for part in (*path.parts[:-1], path.stem) if set(part.split("_")) & VAGUE_NAMES}


def test_no_file_is_longer_than_the_limit(root: Path, python_files: list[Path]) -> None:
    lengths = {str(path): len((root / path).read_text().splitlines()) for path in python_files}
    assert lengths, "no file was looked at"
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_the_limit(root: Path, python_files: list[Path]) -> None:
    long = {str(path): long_functions((root / path).read_text()) for path in python_files}
    assert {path: found for path, found in long.items() if found} == {}


def test_a_long_function_is_found_wherever_it_hides() -> None:
    body = "\n".join("        x = 1" for _ in range(MAX_FUNCTION_LINES))
    assert long_functions(f"class C:\n    def f(self):\n{body}\n") == [f"f: {MAX_FUNCTION_LINES + 1} lines"]
    assert long_functions(f"def f():\n    async def g():\n{body}\n")[-1].startswith("g: ")


def test_no_file_or_folder_is_a_drawer_for_everything(python_files: list[Path]) -> None:
    assert {str(path): vague_parts(path) for path in python_files if vague_parts(path)} == {}


def test_a_drawer_is_found() -> None:
    assert vague_parts(Path("hil/utils/x.py")) == {"utils"}
    assert vague_parts(Path("hil/rotor_helpers.py")) == {"rotor_helpers"}


def test_every_module_says_what_it_is(root: Path, python_files: list[Path]) -> None:
    silent = []
    for path in python_files:
        text = (root / path).read_text() if not path.name.startswith("test_") else ""
        if text.strip() and not begins_with_a_docstring(text):
            silent.append(str(path))
    assert silent == []
    assert begins_with_a_docstring('# a comment\n\n"""What it is."""\nimport os\n')
    assert not begins_with_a_docstring('# a comment\nimport os\n"""Not at its head."""\n')


TOP_LEVEL = {
    *("pyproject.toml", "firmware_emu", "protocol", "hil", "fixtures", "scripts", "tests", "Makefile"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "constraints.txt"),
}


def test_nothing_stands_at_the_top_that_the_house_has_no_place_for(root: Path) -> None:
    """A report of a test run, say, that was written where the run was started and taken along by a commit."""
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    tops = {line.split("/")[0] for line in tracked.splitlines()}
    assert tops, "no file was looked at"
    assert {top for top in tops if not top.startswith(".")} - TOP_LEVEL == set()
