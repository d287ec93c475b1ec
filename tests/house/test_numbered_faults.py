"""The seventy faults of the domain report are all there, once, and what is said to cause one exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.faults.fault import Where
from firmware_emu.faults.numbered import NUMBERED, NumberedFault, Outside, beyond_the_numbered
from hil.cli.main import cli
from hil.noise import FaultyLine
from protocol.codec.field_words import bare_name_and_unit


def told(*words: str) -> str:
    result = CliRunner().invoke(cli, ["faults", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_numbers_are_one_to_seventy() -> None:
    assert [row.number for row in NUMBERED] == list(range(1, 71))


@pytest.mark.parametrize("row", NUMBERED, ids=lambda row: str(row.number))
def test_what_causes_a_fault_exists_where_it_is_said_to_act(row: NumberedFault) -> None:
    assert bool(row.caused_by) != bool(row.not_modelled), "caused by something, or not modelled with a reason"
    if row.where is Outside.LINE:
        assert all(callable(getattr(FaultyLine, name, None)) for name in row.caused_by)
    elif row.where is Outside.OPERATOR:
        assert all(re.fullmatch(r"(program|rig)( [a-z-]+)*", name) for name in row.caused_by)
    else:
        assert all(name in FAULTS for name in row.caused_by)


def test_what_is_not_modelled_stands_in_fidelity_with_its_number(root: Path) -> None:
    (section,) = re.findall(
        r"^## Not modelled$(.*?)(?=^## |\Z)",
        (root / "firmware_emu/FIDELITY.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert set(re.findall(r"FI ([0-9]+)", section)) == {
        str(row.number) for row in NUMBERED if row.not_modelled
    }


def test_the_command_lists_all_of_them_and_those_without_a_number() -> None:
    lines = told().splitlines()
    assert len(lines) == 1 + len(NUMBERED) + len(beyond_the_numbered())
    assert re.match(
        r" 1  plant      stall for a time, as in a scanner .* mri, motor-stall +missing edges$", lines[1]
    )
    assert any(line.lstrip().startswith("-  plant") and "magnet" in line for line in lines)


def test_a_fault_is_told_with_its_parameters_and_their_units() -> None:
    by_number, by_name = told("10"), told("occlusion")
    for text in (by_number, by_name):
        assert "FI 10: catheter blocked, then free" in text
        assert "  compliance_nl: 0 to 1000000 nL; 100000 where it is not given" in text.splitlines()


def test_the_document_has_every_field_of_every_fault() -> None:
    document = json.loads(told("--json"))
    assert [row["number"] for row in document["numbered"]] == list(range(1, 71))
    assert {row["where"] for row in document["numbered"]} == {*Where, *Outside}
    assert [row["name"] for row in document["catalogue"]] == list(FAULTS)


@pytest.mark.parametrize(
    ("which", "complaint"), [("71", "from 1 to 70"), ("flood", "there is no fault 'flood'")]
)
def test_a_fault_that_there_is_not_is_wrong_usage(which: str, complaint: str) -> None:
    result = CliRunner().invoke(cli, ["faults", which])
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())


def test_every_unit_that_ends_a_parameter_has_words() -> None:
    plain = re.compile(r"strokes|writes|cell|bit|task|region|stays_off|near")
    for fault in FAULTS.values():
        for parameter in fault.parameters:
            ended = bare_name_and_unit(parameter.name)[1]
            assert ended or plain.search(parameter.name), parameter.name
