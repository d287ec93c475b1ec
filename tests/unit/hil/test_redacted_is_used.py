"""A redacted session is compared, explained and replayed as the one of which it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from hil.cli.main import cli
from hil.errors import PumpbenchError
from protocol.codec.layouts import declaration_of, declared_classes

SESSIONS = Path(__file__).parents[3] / "fixtures/sessions"
OF_SUITE_NONE = {"suites", "suite"}


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    printed: str


def run(*words: str | Path) -> Ended:
    done = CliRunner().invoke(cli, list(map(str, words)))
    if isinstance(done.exception, PumpbenchError):
        return Ended(int(done.exception.exit_code), done.stdout)
    assert done.exception is None, done.exception
    return Ended(done.exit_code, done.stdout)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A day in a clinic, and what is shared of it."""
    out = tmp_path_factory.mktemp("shared") / "clinic_day.pcapng"
    original = SESSIONS / "clinic_day.pcapng"
    assert run("redact", original, "--out", out).code == 0
    return original, out


def test_it_differs_from_the_original_in_identities_and_the_suite_alone(pair: tuple[Path, Path]) -> None:
    ended = run("diff", *pair, "--json")
    identities = {name for cls in declared_classes() for name in declaration_of(cls).identities}
    differing = {field["place"].rpartition(".")[2] for field in json.loads(ended.printed)["fields"]}
    assert differing - identities == OF_SUITE_NONE
    assert {"value", "serial", "key_id"} <= differing


def test_why_an_alarm_came_is_told_in_the_same_words(pair: tuple[Path, Path]) -> None:
    for number in ("1", "2"):
        of_original, of_shared = (run("explain", path, "--alarm", number) for path in pair)
        assert of_original == of_shared
        assert (of_shared.code, "cause" in of_shared.printed) == (0, True)


def test_it_replays_as_a_device_as_the_original_does(pair: tuple[Path, Path]) -> None:
    """Its own requests are played against it: what is answered otherwise than recorded is the same of both."""
    of_original, of_shared = (
        run(
            *("replay", path, "--as", "programmer", "--target", f"replay:{path}"),
            *("--yes", "--all", "--leave-stopped"),
        )
        for path in pair
    )
    assert of_original == of_shared
    differences = of_shared.printed.splitlines()
    told_of_kind = [line for line in differences if "GetInfoReply.kind was EMULATOR" in line]
    assert len(told_of_kind) == 5
    assert len(differences) - len(told_of_kind) <= 1, (
        "a replay says that it is one, and answers the rest as recorded"
    )
