"""Lives that break an invariant are cut down to the deeds that do it, told by one command, and adopted as a test."""

from __future__ import annotations

import json
import runpy
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.campaign.adopted import ToldOtherwise, play_adopted
from hil.campaign.deed import Deed
from hil.campaign.life import Life
from hil.campaign.plan import Plan, plan_of, read_plan, shipped_plans
from hil.campaign.plan import load_plan as shipped
from hil.campaign.playing import Wrong, played_life
from hil.campaign.properties import Broken
from hil.campaign.row_text import KNOWN, planned_row, row_of_text, row_text
from hil.campaign.rows import Rows
from hil.campaign.shrinking import Shrinking
from hil.campaign.simpler import PARTS, simpler
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration, UsageError
from tests.simulation.life_mutants import MUTANTS
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

TEXT = b"pump_days = 1\ndeeds = 24\nquiet_stretches = 0\ntwins_every = 0\nempty_policy = 'continue'\n"
PLAN = read_plan(TEXT, "small", "small.toml")


def mutated(patch: pytest.MonkeyPatch, what: str) -> None:
    """The product with one function changed."""
    owner, name, made_from = next(mutant for mutant in MUTANTS if mutant.what == what).change
    patch.setattr(owner, name, made_from(getattr(owner, name)))


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm begins at a start without an entry: P5, by some deeds together."""
    mutated(monkeypatch, "an alarm begins at a start without an entry")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_bytes(TEXT)
    return path


def broken_life(invariant: str, plan: Plan = PLAN) -> tuple[int, tuple[Deed, ...]]:
    """The first life that breaks it, and its deeds."""
    lives = ((seed, played_life(plan, seed)) for seed in range(1, 99))
    return next((seed, played.row) for seed, played in lives if played.lived.invariant == invariant)


def standing() -> Callable[[], int]:
    return lambda: 0


def told(*words: object) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(cli, ["campaign", *map(str, words)])


@pytest.mark.usefixtures("unlogged")
def test_what_is_left_breaks_the_same_and_without_any_one_of_its_deeds_nothing_does() -> None:
    seed, row = broken_life("P5")
    shrunk = Shrinking(PLAN, seed, standing()).shrink(row, "P5")
    assert shrunk is not None
    assert len(shrunk.row) <= 10
    assert len(shrunk.row) < shrunk.before == len(row)
    assert not shrunk.stopped_early
    again = Rows(PLAN, seed).play(row_of_text(shrunk.text, planned_row(PLAN, seed)))
    assert (again.row, again.wrong) == (shrunk.row, Wrong("P5", shrunk.found))
    assert again.lives[0].story == shrunk.story
    for left_out in range(len(shrunk.row)):
        less = shrunk.row[:left_out] + shrunk.row[left_out + 1 :]
        assert Rows(PLAN, seed).play(less).wrong is None


@pytest.mark.usefixtures("unlogged")
def test_a_bound_in_tries_or_time_ends_it_with_what_there_is_and_that_is_said() -> None:
    seed, row = broken_life("P5")
    ticks = iter(range(0, 10**9, 700))
    few = Shrinking(PLAN, seed, standing(), plays_max=3).shrink(row, "P5")
    short = Shrinking(PLAN, seed, lambda: next(ticks), time_max_ms=5_000).shrink(row, "P5")
    for shrunk in (few, short):
        assert shrunk is not None
        assert shrunk.stopped_early
        assert Rows(PLAN, seed).play(shrunk.row).wrong == Wrong("P5", shrunk.found)
    assert few is not None
    assert few.plays == 3
    assert Shrinking(PLAN, seed, standing()).shrink(row[:1], "P5") is None, "it holds in this"


@pytest.mark.usefixtures("unlogged")
def test_from_forks_and_from_the_beginning_a_row_is_played_the_same() -> None:
    seed, row = broken_life("P5")
    rows = Rows(PLAN, seed)
    rows.play(row[:5])
    before = rows.deeds
    forked, fresh = rows.play(row), Rows(PLAN, seed, kept_max=0).play(row)
    assert rows.deeds - before == len(forked.row) - 5, "what is in common is not played again"
    assert (forked.row, forked.wrong) == (fresh.row, fresh.wrong)
    assert forked.lives[0].talk.replies == fresh.lives[0].talk.replies
    assert forked.lives[0].story == fresh.lives[0].story
    other = row[:5] + row[6:]
    again, anew = rows.play(other), Rows(PLAN, seed, kept_max=0).play(other)
    assert again.lives[0].talk.replies == anew.lives[0].talk.replies, "what was gone on from is as it was"


def test_deeds_that_break_something_else_are_not_what_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Life.look

    def breaking(life: Life) -> None:
        look(life)
        names = [deed.name for deed in life.done]
        if names[-1] == "stop":
            raise Broken("P5" if "restart" in names[-4:] else "P6", f"after {len(names)}")

    monkeypatch.setattr(Life, "look", breaking)
    names = ("wait", "void", "restart", "wait", "void", "stop")
    row = tuple(Deed(number, name) for number, name in enumerate(names, 1))
    shrunk = Shrinking(PLAN, 1, standing()).shrink(row, "P5")
    assert shrunk is not None
    assert [deed.name for deed in shrunk.row] == ["restart", "stop"]
    assert (shrunk.invariant, shrunk.found) == ("P5", "after 2")
    assert not Wrong("LIFE", "", "KeyError, a.py, line 3").is_as(Wrong("LIFE", "", "KeyError, a.py, line 4"))


def test_a_run_shrinks_the_first_that_break_each_and_with_no_shrink_none(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutated(monkeypatch, "empty comes before low")
    small.write_bytes(TEXT.replace(b"deeds = 24", b"deeds = 4"))
    done = told("run", small, "--out", tmp_path / "o", "--workers", 1, "--json")
    document = json.loads(done.stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    first = document["violations"][0]["shrunk"]
    assert 1 <= first["deeds"] <= 10
    assert first["replay"].startswith("pumpbench campaign replay ")
    assert first["story"]
    resumed = told("run", small, "--out", tmp_path / "o", "--resume", "--workers", 1).output
    assert f"will do ({first['plays']} tries):" in resumed
    assert f"  as a test: {first['replay']} --adopt DIR" in resumed
    done = told("run", small, "--out", tmp_path / "o", "--resume", "--workers", 1, "--json", "--no-shrink")
    assert {each["shrunk"] for each in json.loads(done.stdout)["violations"]} == {None}


def test_an_adopted_life_fails_while_the_fault_is_there_and_passes_when_it_is_mended(
    small: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutated(patch, "an alarm begins at a start without an entry")
        seed, _ = broken_life("P5")
        words = ("replay", seed, "--plan", small, "--shrink", "--adopt", tmp_path / "lives")
        done = told(*words, "--json")
        document = json.loads(done.stdout)
        jsonschema.validate(document, json_schema("campaign-replay"))
        test = runpy.run_path(document["adopted"])[f"test_life_{seed}_p5_breaks_no_invariant"]
        with pytest.raises(AssertionError, match=r"^P5: (.|\n)*\nday 0, ") as caught:
            test()
        assert len(str(caught.value).splitlines()) > len(document["violation"]["shrunk"]["story"]) // 2
        with pytest.raises(BadConfiguration, match="is there already"):
            raise told(
                "replay", seed, "--plan", small, "--adopt", tmp_path / "lives"
            ).exception or AssertionError("it was written over")
    test()
    path = tmp_path / "lives" / f"life_{seed}_p5.life.json"
    data = json.loads(path.read_text())
    data["deeds"] = data["deeds"][1:]
    path.write_text(json.dumps(data))
    with pytest.warns(ToldOtherwise, match="does other things than when it was adopted"):
        test()
    data["deeds"][0]["name"] = "fork"
    path.write_text(json.dumps(data))
    with pytest.raises(BadConfiguration, match="there is no deed 'fork'"):
        play_adopted(path)
    path.write_text("{}")
    with pytest.raises(BadConfiguration, match="is no adopted life"):
        play_adopted(path)


@for_each(
    ("words", "error", "expected"),
    [
        (("--deeds", "999"), BadConfiguration, "the life has no deed 999; its numbers are 1 to"),
        (("--deeds", ""), BadConfiguration, "nothing is to be done"),
        (("--deeds", "3;4"), BadConfiguration, "'3;4' is no deed; say numbers of deeds"),
        (("--deeds", "3:fly"), BadConfiguration, "deed 3: there is no deed 'fly'"),
        (("--deeds", "3:wait(wait_s=1)"), BadConfiguration, "deed 3: nothing is said of 'wait_s'"),
        (("--deeds", "3:wait(wait_ms=long)"), BadConfiguration, "wait_ms must be a whole number from 0 to"),
        (("--deeds", "3:fault(fault=flood)"), BadConfiguration, "fault must be a fault of the catalogue"),
        (("--deeds", "3:pair(fault=wear)"), BadConfiguration, "a pair needs fault and work"),
        (("--branch", ""), BadConfiguration, "'' is no branch of a life; name one as the campaign did"),
        (("--deeds", "1", "--branch", "1:1"), UsageError, "--branch and --deeds say each what is played"),
        (("--deeds", "1", "--shrink"), BadConfiguration, "there is nothing to shrink or to adopt"),
        (("--adopt", "lives"), BadConfiguration, "there is nothing to shrink or to adopt"),
    ],
    name=lambda row: " ".join(row[0]),
)
def test_what_cannot_be_played_is_refused_in_one_sentence(
    words: tuple[str, ...], error: type[Exception], expected: str
) -> None:
    done = told("replay", 3, "--plan", "smoke", *words)
    assert isinstance(done.exception, error), done.exception
    assert expected in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_row_is_the_same_as_text() -> None:
    planned = planned_row(PLAN, 3)
    row = (planned[3], Deed(7, "wait", (("wait_ms", 1),)), planned[9], Deed(9, "restart"))
    given = Deed(
        11, "fault", (("fault", "wear"), ("free_strokes", 4), ("for_ms", None), ("start", "at-once"))
    )
    text = row_text((*row, given), planned)
    assert (
        text
        == "3,7:wait(wait_ms=1),9,9:restart,11:fault(fault=wear,free_strokes=4,for_ms=none,start=at-once)"
    )
    assert row_of_text(text.replace(",", ", "), planned) == (*row, given)


@for_each("name", shipped_plans())
def test_a_plan_can_be_said_again_and_is_the_same(name: str) -> None:
    plan = shipped(name)
    assert plan_of(json.loads(json.dumps(plan.said())), name, "again") == plan


def test_each_part_of_a_deed_can_be_done_and_said() -> None:
    drew: dict[str, Any] = {
        "fault": "wear",
        "work": "bolus",
        "dose_ng_per_day": 1,
        "quiet_days": 1,
        "wait_ms": 5,
    }
    for name in PARTS:
        assert name in KNOWN
        said = (("fault", "wear"), ("work", "bolus")) if name == "pair" else ()
        for row in simpler(Deed(3, name, said), drew):
            assert {deed.name for deed in row} <= KNOWN
            assert row_of_text(row_text(row, {}), {3: Deed(3, "wait")}) == row
