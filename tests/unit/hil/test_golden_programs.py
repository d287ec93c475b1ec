"""Golden programs: files that a pump runs, and files that are refused, each with the sentence it gets beside it.

All of them go through the command line, in this process.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.connected_programmer import connect
from hil.programs.checks import refusals
from hil.programs.infusion_program import InfusionProgram
from hil.programs.reading import program_of, read_program
from hil.programs.schema import program_schema
from hil.programs.warnings import NAMES
from hil.programs.writing import toml_text
from protocol.codec.layouts import decode, encode
from protocol.messages.program import ProgramHeader
from protocol.messages.reading import GetLimitsReply
from tests.support.for_each import for_each
from tests.unit.bench.processes import Emulator

PROGRAMS = Path(__file__).resolve().parents[3] / "fixtures" / "programs"
GOOD = sorted(PROGRAMS.glob("*.toml"))
REFUSED = sorted((PROGRAMS / "refused").glob("*.toml"))
WITH_A_REFILL = {"bridge"}
"""Programs for another concentration than the pump's, which come with a refill."""
SEEN_BY_AN_EDITOR = {"milligrams", "gap_at_midnight", "without_unit", "unknown_key"}
"""Refused programs that are no program by the JSON Schema either; the others take more than a schema can say."""
ACCEPTED = [word for name in NAMES for word in ("--accept", name)]


def name_of(path: Path) -> str:
    return path.stem


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["program", *arguments])


def limits() -> GetLimitsReply:
    with connect("emulator", state=False) as pump:
        return pump.limits()


def test_there_are_ten_programs_of_each_kind_and_each_refused_one_has_its_sentence() -> None:
    assert len(GOOD) == 10
    assert len(REFUSED) >= 10
    assert {path.stem for path in (PROGRAMS / "refused").glob("*.txt")} == {path.stem for path in REFUSED}


# FI 58, 59
@for_each("path", REFUSED, name=name_of)
def test_a_program_that_must_be_refused_gets_its_sentence(path: Path) -> None:
    result = run("write", str(path), "--yes", *ACCEPTED, "--target", "emulator")
    assert result.exception is not None
    assert result.stdout == ""
    said = result.exception.one_line().replace(f"{path.parent}/", "")  # type: ignore[attr-defined]
    assert said + "\n" == path.with_suffix(".txt").read_text()
    assert result.exception.exit_code == 10  # type: ignore[attr-defined]


@for_each("path", GOOD, name=name_of)
def test_a_program_that_is_read_is_written_as_the_same_program_and_fits_the_wire(path: Path) -> None:
    program = read_program(path)
    assert program_of(toml_text(program), "again") == program
    assert refusals(program, limits()) == []
    header, segments = program.for_pump(6_000).on_wire()
    assert decode(ProgramHeader, encode(header)) == header
    back = InfusionProgram.from_wire(header, segments)
    assert program_of(toml_text(back), "read back").for_pump(6_000).on_wire() == (header, segments)


@for_each("path", GOOD + REFUSED, name=name_of)
def test_an_editor_is_told_by_the_schema_what_is_no_program(path: Path) -> None:
    schema = json.loads(CliRunner().invoke(main.cli, ["help", "program-schema"]).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(tomllib.loads(path.read_text())))
    assert bool(errors) == (path.stem in SEEN_BY_AN_EDITOR), errors


def test_the_schema_is_shipped_as_it_is_printed() -> None:
    shipped = Path(main.__file__).parents[1] / "programs" / "program.schema.json"
    assert json.loads(shipped.read_text()) == program_schema()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """One pump on a port, for all programs in turn."""
    emulator = Emulator()
    state = tmp_path_factory.mktemp("state") / "state.json"
    yield ("--target", f"pty:{emulator.ready['port']}", "--state", str(state))
    emulator.end()


@pytest.mark.parametrize("path", GOOD, ids=name_of)
def test_a_program_that_is_written_is_shown_as_the_file_that_it_came_from(
    path: Path, address: tuple[str, ...], tmp_path: Path
) -> None:
    if path.stem in WITH_A_REFILL:
        result = run("write", str(path), "--yes", *ACCEPTED, *address)
        assert "another drug comes with its refill" in str(result.exception)
        return
    written = run("write", str(path), "--yes", *ACCEPTED, *address)
    assert written.exit_code == 0, written.exception
    shown = run("show", "--toml", *address).stdout
    wanted, again = read_program(path), program_of(shown, "shown")
    assert again == wanted.for_pump(6_000)
    (tmp_path / "again.toml").write_text(shown)
    checked = run("write", str(tmp_path / "again.toml"), "--check", "--json", *address)
    staged_crc = json.loads(checked.stdout)["staged_crc"]
    assert staged_crc == json.loads(run("show", "--json", *address).stdout)["crc"]


def test_the_program_of_the_readme_is_one() -> None:
    text = (PROGRAMS.parents[1] / "hil" / "README.md").read_text()
    (shown,) = re.findall(r"^```toml\n(mode = .*?)^```", text, re.MULTILINE | re.DOTALL)
    assert refusals(program_of(shown, "README"), limits()) == []
    assert list(jsonschema.Draft202012Validator(program_schema()).iter_errors(tomllib.loads(shown))) == []
