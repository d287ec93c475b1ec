"""Campaigns and what cannot be right: forged lives, names, branches and digits, refused in one sentence."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, redirect_stderr
from dataclasses import replace
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.campaign import adopted
from hil.campaign.adopted import adopt
from hil.campaign.code_digest import code_digest
from hil.campaign.deed import Deed
from hil.campaign.explored_told import explored_lines, explored_part
from hil.campaign.lives_file import kept_lives, lives_file
from hil.campaign.plan import read_plan
from hil.campaign.playing import Wrong, lived_by
from hil.campaign.row_text import row_of_text
from hil.campaign.running import Campaign, Result
from hil.campaign.shrinking import Shrinking
from hil.cli.main import cli
from hil.cli.terminal import progress_bar
from hil.errors import BadConfiguration, Interrupted
from hil.own_paths import path_of
from tests.simulation.life_mutants import MUTANTS
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from click.testing import Result as Done

    from hil.campaign.playing import Lived

TEXT = b"pump_days = 1\ndeeds = 4\nquiet_stretches = 0\ntwins_every = 0\n"
PLAN = read_plan(TEXT, "small", "small.toml")
TOO_LONG = "a" * 300


def told(*words: object) -> Done:
    """The command, in this process."""
    return CliRunner().invoke(cli, ["campaign", *map(str, words)])


def refusal_of(how: str) -> str:
    """What is said of a file that was changed by an SQL statement."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lives"
        path.write_bytes(kept())
        with closing(sqlite3.connect(path)) as forged, forged:
            forged.execute(how)
        with pytest.raises(BadConfiguration) as told:
            read(path)
        return str(told.value)


def read(path: Path) -> list[Lived]:
    """All that a report reads of a file."""
    with kept_lives(path, plan=PLAN.digest()) as file:
        file.origin()
        return [*file.lives()]


def fill_up(path: Path) -> None:
    """Play lives into a file until there is no room for it."""
    life = lived_by(PLAN, 1)
    with lives_file(path, plan=PLAN.digest(), code="of this test", resume=False) as file:
        file.add(life, 1)
        file._connection.execute("PRAGMA max_page_count = 1")
        for seed in range(2, 99):
            file.add(life._replace(seed=seed, found="x" * 9_000), 1)


@cache
def kept() -> bytes:
    """A file with one life, as a campaign writes it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "lives"
        with lives_file(path, plan=PLAN.digest(), code="of this test", resume=False) as file:
            file.add(lived_by(PLAN, 1), 1)
        return path.read_bytes()


@for_each(
    "said",
    [
        "lives SET marks = 'x'",
        "lives SET marks = '5'",
        "lives SET marks = '" + "[" * 100_000 + "'",
        "lives SET pairs = '[[1]]'",
        "lives SET measured = x'ff00'",
        "lives SET measured = '{\"stopped_ms\": [NaN]}'",
        "lives SET pump_ms = -1",
        "lives SET pump_ms = 'x'",
        "lives SET deeds = 'x'",
        "lives SET seed = -5",
        "lives SET invariant = 'P99'",
        "lives SET branch = '; ls', invariant = 'P1'",
        "lives SET story = '[[1, 2, 3, 4]]'",
        "lives SET story = '[[\"x\", 2, 1]]'",
        "lives SET faults = '[[\"mri\"]]'",
        "lives SET faults = '[[\"nope\", 1, 1, 1, 1, true, 0, 0]]'",
        "lives SET cells = '[1]'",
        "lives SET explored = '[1]'",
        "campaign SET began_at_s = 99999999999999999",
        "campaign SET runs = 'x'",
    ],
)
def test_a_life_that_no_campaign_writes_so_is_refused_in_one_sentence(said: str) -> None:
    refusal = refusal_of(f"UPDATE {said}")
    assert "cannot be read or written (no campaign writes " in refusal


def test_a_file_with_numbers_that_its_lives_do_not_have_is_neither_reported_nor_gone_on_with(
    tmp_path: Path,
) -> None:
    path, plan, out = tmp_path / "lives", tmp_path / "small.toml", tmp_path / "report"
    plan.write_bytes(TEXT)
    with lives_file(path, plan=PLAN.digest(), code=code_digest(), resume=False) as file:
        for seed in (1, 2):
            file.add(lived_by(PLAN, seed), 1)
    honest = path.read_bytes()
    ways = (
        ("report", path, "--plan", plan, "--out", out),
        ("run", plan, "--out", path, "--resume", "--workers", 1),
    )
    # six commands, each of which hashes the code and plays two lives: more than a second
    told_of = [told(*words, "--json") for words in ways]
    assert [json.loads(done.stdout)["checked"] for done in told_of] == [[1, 2], [1, 2]]
    page = (out / "campaign.html").read_text()
    assert (
        "2 lives of the file played again, and the same; all other numbers are those of the file (1, 2)"
        in page
    )
    before = (out / "campaign.json").read_bytes()
    for forged, words in zip(
        ("pump_ms = pump_ms + 86400000", "invariant = 'P1', story = '[]'", "deeds = 9"),
        (*ways, ways[0]),
        strict=True,
    ):
        path.write_bytes(honest)
        with closing(sqlite3.connect(path)) as forging, forging:
            forging.execute(f"UPDATE lives SET {forged} WHERE seed = 2")  # noqa: S608 - ours
        refusal = told(*words).exception
        assert isinstance(refusal, BadConfiguration), forged
        assert f"has of life 2 what this code does not play: {forged.split()[0]}" in str(refusal)
        assert (out / "campaign.json").read_bytes() == before, "no report of it is written"
    with closing(sqlite3.connect(path)) as forging, forging:
        forging.execute("UPDATE campaign SET code = 'other'")
    by_other_code = json.loads(told(*ways[0], "--json").stdout)
    assert by_other_code["checked"] is None
    assert "none was played again: the numbers are those of the file" in (out / "campaign.html").read_text()


@for_each("how", ["DELETE FROM campaign", "INSERT INTO campaign SELECT * FROM campaign"])
def test_a_file_says_once_what_its_lives_are_of(how: str) -> None:
    assert "and not once" in refusal_of(how)


def test_a_full_disk_is_said_to_be_full_and_what_is_kept_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "lives"
    with pytest.raises(
        BadConfiguration, match=r"there is no room for .*; make room, then go on with --resume"
    ):
        fill_up(path)
    assert read(path) == [lived_by(PLAN, 1)]


@for_each("named", ["", TOO_LONG, f"{TOO_LONG}/y"])
def test_a_name_that_no_file_can_have_is_refused_wherever_paths_are_named(named: str) -> None:
    with pytest.raises(BadConfiguration, match=r"is no path: .*; check --out"):
        path_of(named, "--out")


def test_a_branch_after_the_end_of_its_life_is_not_told_to_have_held() -> None:
    done = told("replay", 2, "--plan", "smoke", "--branch", "9999:1")
    assert isinstance(done.exception, BadConfiguration)
    assert "life 2 has no branch '9999:1': it ends after " in str(done.exception)
    assert "held" not in done.output


@for_each("text", ["\u0661", "1:wait(wait_ms=\u0661)"])
def test_digits_of_other_scripts_are_no_numbers_of_deeds(text: str) -> None:
    with pytest.raises(BadConfiguration):
        row_of_text(text, {1: Deed(1, "wait")})


def test_a_test_that_cannot_be_written_whole_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopted, "TEST", "\ud800")  # what fails while it is written, as on a full disk
    with pytest.raises(UnicodeEncodeError):
        adopt(tmp_path / "lives", PLAN, 1, (Deed(1, "wait"),), Wrong("P1", "x"), ())
    assert not [*(tmp_path / "lives").iterdir()]


@for_each("columns", [40, 60, 120])
def test_a_narrow_terminal_shows_how_much_is_done_and_leaves_out_the_rest(columns: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, redirect_stderr(StringIO()) as drawn:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(columns))
        with progress_bar("pump-days", unit=lambda: "0.09 pump-years/s, 38 marks, 0 pairs") as show:
            show(41, 3_000)
    assert "41/3000" in drawn.getvalue()


def test_a_budget_that_pays_for_no_life_with_its_forks_is_not_told_as_forks_that_reached_nothing() -> None:
    result = Result()
    result.add(lived_by(replace(PLAN, explore=2), 1))
    *_, last = explored_lines(explored_part(result))
    assert last.endswith("; it pays for no life with its forks")


def test_that_no_test_can_be_made_of_what_was_found_is_told_with_it_and_before_it_is_shrunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, made_from = next(
        mutant for mutant in MUTANTS if mutant.what == "a stopped pump turns slowly"
    ).change
    monkeypatch.setattr(owner, name, made_from(getattr(owner, name)))
    words = ("replay", 12, "--plan", "smoke", "--adopt", tmp_path, "--json")
    assert json.loads(told(*words).stdout)["adopted"] == str(tmp_path / "test_life_12_p3.py")
    shrinkings: list[str] = []
    monkeypatch.setattr(
        Shrinking, "shrink", lambda _self, _row, invariant: shrinkings.append(invariant)
    )  # which may take a minute
    again = told(*words, "--shrink")
    assert isinstance(again.exception, BadConfiguration)
    assert not shrinkings
    document = json.loads(again.stdout)
    assert (document["adopted"], document["violation"]["invariant"]) == (None, "P3")
    below_a_file = told(*words[:-2], tmp_path / "test_life_12_p3.py" / "deep", "--shrink")
    assert "cannot be written (Not a directory)" in str(below_a_file.exception)
    assert not shrinkings


def test_ctrl_c_says_where_the_lives_are_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Campaign, "run", broken_off)
    done = told("run", "smoke", "--out", tmp_path / "lives", "--workers", 1)
    assert isinstance(done.exception, Interrupted)
    assert (
        str(done.exception) == f"the lives that were played are in {tmp_path / 'lives'}; go on with --resume"
    )


def test_the_life_to_be_played_again_is_named_in_the_usage() -> None:
    assert "replay [OPTIONS] SEED" in told("replay", "--help").output
