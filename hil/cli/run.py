"""`pumpbench hil run`: pytest over the conformance suite, against any target, with a report on file."""

from __future__ import annotations

import os
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import click

from hil import address as addresses
from hil.cli.adopt_command import adopt
from hil.cli.bench_warnings import warn_of_other_boards
from hil.cli.compare_command import compare
from hil.cli.help_pages import ListsWholeSentences
from hil.cli.history_command import history_command
from hil.cli.output import say
from hil.cli.preflight_command import preflight
from hil.cli.quantities import WholeNumber
from hil.cli.reset_command import reset
from hil.cli.targets_command import targets
from hil.errors import AnswerNotWritten, BadConfiguration
from hil.installation import own_python
from hil.own_paths import check_working_directory
from hil.report.directory import ReportDirectory
from hil.report.places import DEFAULT_REPORT
from hil.report.records import RETRIES_MAX
from hil.run.start import hold_ctrl_c
from hil.targets.choices import SEED_MAX

CACHE_NAME = ".pytest_cache"
TEST_LIMIT_S = 120
WAIT_MAX_S = 86_400
# With these pytest runs no test, and the last report stays.
LOOKING = {
    "--collect-only",
    "--co",
    "--fixtures",
    "--funcargs",
    "--fixtures-per-test",
    "--cache-show",
    "--markers",
}
LOOKING |= {"--help", "-h", "--version", "-V"}
# With these it may be that pytest runs none, and only pytest can tell: letters in one word, and options on file.
SHOWS_HELP = re.compile(r"-[A-Za-z]*[hV]|--(help|version|markers|fixtures|funcargs|cache-show)")
MAY_LOOK = re.compile(r"-[A-Za-z]*[hVco]|--config-file|--override-ini|@")
# Of these, the ones for which it matters which tests failed last.
LOOKING_AT_TESTS = {"--collect-only", "--co", "--cache-show"}
# These and no others: one that happens to be installed may have fixtures, options and opinions of its own.
PLUGINS = ("-p", "pytest_timeout", "-p", "hil.plugin", "-p", "hil.run.start", "-p", "hil.run.own_tests")
SETTINGS = (
    "--import-mode=importlib",
    "--strict-markers",
    "-c",
    "/dev/null",  # whatever pytest.ini stands around here is not about this suite
    "-o",
    f"timeout={TEST_LIMIT_S}",
    "-o",
    "xfail_strict=true",
    "-o",
    "junit_suite_name=pumpbench",
)
EXIT_CODES = """\
\b
Exit codes:
   0  all tests that were chosen ran, at least one passed, and none failed
   1  a test failed
   2  wrong usage, or tests did not run (Ctrl-C, a signal, not collected)
   3  an internal error, or a test ended the process
   4  pytest was used wrongly
   5  no test passed or failed: none chosen, or all skipped
   6  pytest had more warnings than were allowed
   7  the bench was lost
  10  bad configuration: address, option, or what cannot be written
  11  port or report directory taken
  12  the output could not be printed
"""  # the first line is click's mark of lines that it shall not fill
# Failures alone: skips are summed by reason.
SHOWN = ("-rfEX",)


@click.group(
    cls=ListsWholeSentences, help="Run the conformance suite against a target, and make tests of recordings."
)
def hil() -> None:
    """Group of what is done with the suite."""


hil.add_command(adopt)
hil.add_command(compare)
hil.add_command(history_command)
hil.add_command(targets)
hil.add_command(preflight)
hil.add_command(reset)


@hil.command(context_settings={"ignore_unknown_options": True}, epilog=EXIT_CODES)
@click.option(
    "--target", metavar="ADDRESS", envvar=addresses.ENVIRONMENT_NAME, help=f"One of {addresses.FORMS}."
)
@click.option(
    "--report", metavar="DIR", default=DEFAULT_REPORT, show_default=True, help="Where the report goes."
)
@click.option("--keep", is_flag=True, help="Refuse to replace a report that is there.")
@click.option("--flash", is_flag=True, help="First flash the board, by the command of the bench file.")
@click.option("--no-record", is_flag=True, help="Keep no recording of the line beside the report.")
@click.option("--no-secrets", is_flag=True, help="Keep the keys of sessions out of the recording.")
@click.option(
    "--history/--no-history",
    default=None,
    help="Keep the run in the history, or do not.  [default: on a board alone]",
)
@click.option("--profile", metavar="NAME", help="Profile of an emulated pump.")
@click.option("--seed", type=WholeNumber(f"0 to {SEED_MAX}"), help="Seed of an emulated pump.")
@click.option(
    "--baud",
    type=WholeNumber("from 1"),
    help="Speed of a device path, in bits per second.  [default: 115200]",
)
@click.option(
    "--wait",
    "wait_s",
    type=WholeNumber(f"0 to {WAIT_MAX_S} s"),
    default=0,
    metavar="SECONDS",
    help="How long to wait for somebody else who has the board.",
)
@click.option(
    "--retries",
    type=click.Choice([str(count) for count in range(RETRIES_MAX + 1)]),
    default="0",
    show_default=True,
    help="How often to run a test again that failed by link or bench; each try stays in the report.",
)
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose names match.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    target: str | None,
    report: str,
    profile: str | None,
    seed: int | None,
    baud: int | None,
    wait_s: int,
    expression: str | None,
    pytest_arguments: tuple[str, ...],
    **flags: Any,
) -> None:
    """Run the suite; what follows -- goes to pytest."""
    if target == "":
        raise BadConfiguration("--target names no device", advice="name one, or leave it out")
    if not report:
        raise BadConfiguration("--report names no directory", advice="name one, or leave it out")
    _check_what_pytest_gets(expression, pytest_arguments)
    looks = LOOKING.intersection(argument.partition("=")[0] for argument in pytest_arguments)
    if not looks and not any(MAY_LOOK.match(argument) for argument in pytest_arguments):
        directory = ReportDirectory(Path(report))
        if flags["keep"]:
            directory.refuse_if_there()
        earlier = directory.earlier()
        directory.clear()  # before anything can go wrong: a green one would outlive it
        if earlier and not directory.earlier():
            say(f"pumpbench: replaced: {earlier}")
    address = addresses.parse(target or addresses.DEFAULT_ADDRESS)
    warn_of_other_boards(address)
    if (profile, seed, baud) != (None, None, None):
        from hil.bench_session import BenchSession  # noqa: PLC0415 - only these options need it

        BenchSession(
            address, profile, seed, baud
        ).close()  # refuses what is wrong; pytest would tell it twice more
    if not 0 <= wait_s <= WAIT_MAX_S:
        raise BadConfiguration(f"--wait must be a number of seconds from 0 to {WAIT_MAX_S}, is {wait_s}")
    flash, history = flags.pop("flash"), flags.pop("history")
    flashed = _prepare_board(address, wait_s, flash=flash) if wait_s or flash else ""
    arguments = [f"--hil-target={address.text}", f"--hil-report={report}"]
    arguments.append(f"--hil-retries={flags.pop('retries')}")
    if flashed:
        arguments.append(f"--hil-flashed={flashed}")
    arguments += [f"--hil-{name.replace('_', '-')}" for name, wanted in flags.items() if wanted]
    if looks <= LOOKING_AT_TESTS:
        arguments += ["-o", f"cache_dir={ReportDirectory(Path(report)).path / CACHE_NAME}"]  # for --lf
    else:
        arguments += ["-p", "no:cacheprovider"]
    kept = {None: None, True: "all", False: "none"}[history]
    for name, value in (("profile", profile), ("seed", seed), ("baud", baud), ("history", kept)):
        if value is not None:
            arguments.append(f"--hil-{name}={value}")
    arguments += _choosing(expression)
    _become_pytest([*SHOWN, *arguments, *pytest_arguments])


@hil.command("list", context_settings={"ignore_unknown_options": True})
@click.option("--json", "as_json", is_flag=True, help="JSON: an object a test.")
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose names match.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def list_tests(as_json: bool, expression: str | None, pytest_arguments: tuple[str, ...]) -> None:
    """List the tests of the suite, one a line: name, requirements, what it needs of its target.

    What follows -- goes to pytest. No target is touched, and no report.
    """
    _check_what_pytest_gets(expression, pytest_arguments)
    if sys.stdout is None:
        raise AnswerNotWritten("", "stdout is closed")
    arguments = ["--hil-list", "json" if as_json else "text", "--collect-only", "-p", "no:cacheprovider"]
    if not any(SHOWS_HELP.match(argument) for argument in pytest_arguments):  # which needs a terminal
        arguments += ["-p", "no:terminal"]
    arguments += _choosing(expression)
    _become_pytest([*arguments, *pytest_arguments])


def _prepare_board(address: addresses.Address, wait_s: int, *, flash: bool) -> str:
    """Wait until nobody holds the board, and flash it where that is wanted; the run then takes it itself.

    Returns the SHA-256 of the firmware file that was flashed, "" where nothing was or the bench file names none. InUse
    names who holds the board at the end of the wait.
    """
    from hil.board_facts import firmware_file  # noqa: PLC0415 - only where it is wanted
    from hil.targets import make_target  # noqa: PLC0415 - only where it is wanted
    from hil.targets.board import BoardTarget  # noqa: PLC0415 - likewise

    target = make_target(address)
    if not isinstance(target, BoardTarget):
        raise BadConfiguration(
            f"--wait and --flash are for boards, and {address} is none", advice="leave them out"
        )
    target.purpose = "flash before hil run" if flash else "about to run"
    lease = target.lock.take(
        target.purpose,
        target.idle_limit_s,
        wait_s=wait_s,
        tell=lambda sentence: say(f"pumpbench: {sentence}"),
    )
    lease.give_back()
    if not flash:
        return ""
    with closing(target):
        target.start()
        target.flash()
    firmware = firmware_file(target.in_bench_file)  # what the command may have built a moment ago
    return "" if firmware is None else firmware.sha256


def _check_what_pytest_gets(expression: str | None, pytest_arguments: tuple[str, ...]) -> None:
    """BadConfiguration where -k chooses nothing, or what follows -- changes what our own options say."""
    if expression is not None and not expression.strip():  # pytest would run all tests
        raise BadConfiguration("-k names no tests", advice="give an expression, or leave it out")
    for argument in pytest_arguments:
        if argument.startswith("--hil-"):
            raise BadConfiguration(
                f"{argument.partition('=')[0]} is no option for what follows --",
                advice="use the options of this command, as --help lists them",
            )


def _choosing(expression: str | None) -> list[str]:
    """The option of pytest for -k, in one word where it would be taken for another option else."""
    if expression is None:
        return []
    return [f"-k{expression}"] if expression.startswith("-") else ["-k", expression]


def _become_pytest(arguments: list[str]) -> NoReturn:
    """Replace this process by a pytest on the suite, which knows no plugin and no settings but ours."""
    check_working_directory()  # pytest would end in a traceback
    suite = Path(__file__).resolve().parent.parent / "suite"
    if not any(suite.glob("test_*.py")):
        raise BadConfiguration(
            f"the conformance suite is missing from this installation: no tests in {suite}",
            advice="install pumpbench again",
        )
    settings = [str(suite), *SETTINGS, f"--rootdir={suite.parent}", f"--confcutdir={suite}"]
    python, environment = own_python()
    # Settings for somebody's pytest are not about this suite; what is meant for it stands after --.
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    hold_ctrl_c()
    # A new process image: pytest then imports plugin and suite itself, and can rewrite their asserts.
    command = [*python, "-m", "pytest", *PLUGINS, *settings, *arguments]
    os.execve(command[0], command, environment)  # noqa: S606 - our own Python, no shell
