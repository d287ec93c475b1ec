"""What the command line tells of itself: exit codes, pages, completion."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from hil.cli.completion import WHERE
from hil.cli.main import GROUPS, cli
from hil.errors import EXIT_CODE_WORDS, ExitCode, PumpbenchError, UsageError
from tests.support.warm_python import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for part in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), part)
            assert found is not None
            yield from commands(found, f"{name} {part}")


def test_every_exit_code_has_its_words_on_the_page_of_exit_codes() -> None:
    assert list(EXIT_CODE_WORDS) == list(ExitCode)
    page = CliRunner().invoke(cli, ["help", "exit-codes"]).output
    for code, words in EXIT_CODE_WORDS.items():
        assert f"{code:>3}  {code.name}" in page
        assert words in page


@pytest.mark.parametrize("group", list(GROUPS))
def test_every_exit_code_that_the_help_of_a_command_lists_is_on_the_page(group: str) -> None:
    command = cli.get_command(click.Context(cli), group)
    assert command is not None
    for name, each in commands(command, group):
        listed = {int(code) for code in re.findall(r"^ +(\d+)  \w", each.epilog or "", re.MULTILINE)}
        assert listed <= {int(code) for code in ExitCode}, name


def test_every_error_ends_with_an_exit_code_that_is_on_the_page() -> None:
    kinds = [PumpbenchError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.exit_code in EXIT_CODE_WORDS


@pytest.mark.parametrize("group", list(GROUPS))
def test_the_help_of_every_command_says_where_exit_codes_stand(group: str) -> None:
    command = cli.get_command(click.Context(cli), group)
    assert command is not None
    for name, each in commands(command, group):
        help_text = each.get_help(click.Context(each, info_name=name))
        assert "exit" in help_text.lower(), name


@pytest.mark.parametrize("group", list(GROUPS))
def test_the_default_of_every_option_that_has_one_stands_in_its_help(group: str) -> None:
    root = click.Context(cli, info_name="pumpbench", **cli.context_settings)
    command = cli.get_command(root, group)
    assert command is not None
    for name, each in commands(command, group):
        context = click.Context(each, parent=root, info_name=name)
        for option in each.params:
            default = option.get_default(context)
            if isinstance(option, click.Option) and isinstance(default, str | int) and default is not False:
                record = option.get_help_record(context)
                assert record is not None
                assert "[default: " in record[1], f"{name} {option.name}: {record}"


@pytest.mark.parametrize("shell", list(WHERE))
def test_a_completion_script_names_our_command(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert "_PUMPBENCH_COMPLETE" in done.output
    assert "pumpbench" in done.output


def test_what_a_shell_asks_for_is_completed_from_the_commands_there_are() -> None:
    asked = {
        "_PUMPBENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "pumpbench program bo",
        "COMP_CWORD": "2",
    }
    done = run_python([sys.executable, "-m", "hil.cli"], env=os.environ | asked)
    assert done.stdout.split() == ["plain,bolus"]


def test_exit_codes_of_one_command_are_refused_since_there_are_none() -> None:
    result = CliRunner().invoke(cli, ["help", "exit-codes", "bolus"])
    assert isinstance(result.exception, UsageError)
