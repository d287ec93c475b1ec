"""Rare states of lives are gone on from: exactly, the same each time, named so that each fork can be played again."""

from __future__ import annotations

import json
from itertools import chain, permutations
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.state_document import to_document
from hil.campaign.cells import cells_of
from hil.campaign.exploring import (
    FORK_DEEDS,
    NUMBERS,
    Explored,
    Exploring,
    SameBudget,
    branch_text,
    read_branch,
    row_of,
)
from hil.campaign.life import Life
from hil.campaign.plan import exploring_plan, load_plan, read_plan
from hil.campaign.playing import Lived, lived_by, played_life
from hil.campaign.usual_cells import USUAL_CELLS
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hil.campaign.exploring import Branch

TEXT = b"pump_days = 1\ndeeds = 6\nquiet_stretches = 0\ntwins_every = 0\nexplore = 8\n"
PLAN = read_plan(TEXT, "small", "small.toml")
SEED = 5
DEEDS = 6


class Noting(Exploring):
    """Keeps each fork that was played, as it was at its end."""

    def __init__(self, forks: int, common: Mapping[str, int] = USUAL_CELLS) -> None:
        super().__init__(forks, common)
        self.ended: dict[Branch, Life] = {}

    def go_on_in(self, fork: Life, branch: Branch) -> None:
        super().go_on_in(fork, branch)
        self.ended[branch] = fork


def test_a_fork_is_what_its_deeds_make_of_the_life_from_the_beginning() -> None:
    life = Life(SEED)
    exploring = Noting(16)
    exploring.live(life, life.row(DEEDS))
    exploring.go_on(())
    assert any(len(branch) > 2 for branch in exploring.ended), "no fork of a fork of a fork"
    pump_ms = 0
    for branch, fork in exploring.ended.items():
        again, began_ms = Life(SEED), []
        for deed in row_of(again, again.row(DEEDS), branch):
            began_ms.append(again.talk.now_ms)
            again.do(deed)
        pump_ms += again.talk.now_ms - began_ms[-FORK_DEEDS]
        assert again.done == fork.done, branch
        assert again.talk.replies == fork.talk.replies
        assert trace_bytes(again.talk.trace) == trace_bytes(fork.talk.trace)
        for each in (again, fork):
            each.properties.leave_rotor()
        assert to_document(again.talk.pump) == to_document(fork.talk.pump)
    assert exploring.pump_ms == pump_ms > 0


def test_the_life_is_the_same_whether_it_is_gone_on_from_or_not() -> None:
    alone, explored = (played_life(PLAN, SEED, forks=forks).lived for forks in (0, 8))
    assert explored.explored.forks == 8
    assert explored.explored.deeds == 8 * FORK_DEEDS
    assert explored.pump_ms == alone.pump_ms + explored.explored.pump_ms
    assert explored._replace(pump_ms=alone.pump_ms, explored=alone.explored) == alone
    assert not {*alone.cells} & {*explored.explored.cells}
    assert explored == played_life(PLAN, SEED, forks=8).lived


class Elsewhere(dict[str, int]):
    """In so many lives each of these was reached, and all others in very many."""

    def get(self, key: str, default: object = None) -> Any:  # noqa: ARG002 - as of a dict
        return super().get(key, 99)


@for_each("kept_max", [48, 2])
def test_the_rarest_moments_are_gone_on_from_each_time_a_little_less(kept_max: int) -> None:
    life = Life(SEED)
    cells: list[tuple[str, ...]] = [()]
    for deed in life.row(DEEDS):
        life.do(deed)
        cells.append(cells_of(life.talk.pump))
    new = [number for number in range(1, DEEDS + 1) if not {*cells[number]} <= {*chain(*cells[:number])}]
    assert len(new) > 3
    for rarest, second in permutations(new, 2):
        usual = (
            dict.fromkeys(chain(*cells), 30)
            | dict.fromkeys(cells[second], 7)
            | dict.fromkeys(cells[rarest], 5)
        )
        if {*cells[rarest]} & {*cells[second]}:
            continue
        exploring = Noting(8, Elsewhere(usual))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hil.campaign.exploring.KEPT_MAX", kept_max)
            again = Life(SEED)
            exploring.live(again, again.row(DEEDS))
            exploring.go_on(())
        earlier, later = sorted((rarest, second))
        assert [branch[0][0] for branch in exploring.ended] == [rarest] * 2 + [earlier, later] * 3, (
            rarest,
            second,
        )


def test_a_life_with_a_twin_is_not_gone_on_from() -> None:
    plan = read_plan(TEXT.replace(b"twins_every = 0", b"twins_every = 2"), "it", "it.toml")
    assert [lived_by(plan, seed).explored.forks for seed in (1, 2, 3)] == [0, 8, 0]


def test_for_the_same_pump_days_forks_reach_more_than_lives_alone() -> None:
    same = SameBudget()
    plan = read_plan(TEXT.replace(b"stretches = 0", b"stretches = 1"), "it", "it.toml")
    for seed in range(1, 6):
        lived = lived_by(plan, seed)
        same.add(lived, lived.pump_ms - lived.explored.pump_ms, lived.explored.pump_ms)
    assert same.spent <= same.budget
    assert len(same.forked.cells) > len(same.alone.cells)
    assert len(same.forked.marks) > len(same.alone.marks)


def test_a_life_with_forks_counts_once_the_budget_of_lives_alone_pays_for_it() -> None:
    def lived(name: str) -> Lived:
        explored = Explored(1, 4, 5, (f"fork's mark {name}",), (f"fork's {name}",))
        return Lived(1, 10, (f"mark {name}",), (), cells=(name,), explored=explored)

    same = SameBudget()
    counted = []
    for number in range(1, 8):
        same.add(lived(str(number)), 10, 15)
        counted.append((same.alone.lives, same.forked.lives))
    assert counted == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2)]
    assert same.forked.cells == {"1", "2", "fork's 1", "fork's 2"}
    assert same.forked.marks == {"mark 1", "mark 2", "fork's mark 1", "fork's mark 2"}
    assert (same.budget, same.spent) == (70, 50)


def told(*words: object) -> Any:
    return CliRunner().invoke(cli, ["campaign", *map(str, words)])


def test_what_breaks_in_a_fork_is_named_with_its_branch_and_one_command_plays_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look = Life.look

    def failing(life: Life) -> None:
        look(life)
        if len(life.done) > DEEDS + 1 and life.done[-1].number > NUMBERS:
            raise KeyError("nobody expects it")

    monkeypatch.setattr(Life, "look", failing)
    small = tmp_path / "small.toml"
    small.write_bytes(TEXT.replace(b"explore = 8\n", b""))
    done = told("run", small, "--explore", "--out", tmp_path / "o", "--workers", 1, "--no-shrink", "--json")
    document = json.loads(done.stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    assert document["explored"]["forks"] >= document["lives"]
    first = document["violations"][0]
    assert first["branch"]
    assert first["replay"] == (
        f"pumpbench campaign replay {first['seed']} --branch {first['branch']} --plan {small}"
    )
    again = told(*first["replay"].split()[2:], "--json")
    jsonschema.validate(json.loads(again.stdout), json_schema("campaign-replay"))
    assert json.loads(again.stdout)["violation"] == first | {"shrunk": None}
    assert json.loads(told("replay", first["seed"], "--plan", small, "--json").stdout)["violation"] is None


def test_the_summary_says_how_much_more_forks_reached_for_the_same_budget(tmp_path: Path) -> None:
    small = tmp_path / "small.toml"
    small.write_bytes(TEXT)
    done = told("run", small, "--out", tmp_path / "o", "--workers", 1)
    assert done.exit_code == 0, done.output
    for words in (
        " cells\n",
        "explored: ",
        " forks from rare states, ",
        "pump-days: ",
        " deeds: ",
        "; with forks ",
    ):
        assert words in done.output


@for_each("text", ["12:3", "12:3,2:7", "0:1", "7:2,4:5,3:1000"])
def test_a_branch_is_read_as_it_is_written(text: str) -> None:
    assert branch_text(read_branch(text)) == text


@for_each(
    "text",
    [
        "",
        "12",
        "12:3,",
        ":",
        "a:b",
        "12:3;2:7",
        "-1:3",
        "1:1\n",
        "9" * 99,
        "\u0661:\u0661",
        "1:0",
        "1:1001",
        "7:48,4:1",
        "7:1,0:2",
        "7:1,5:2",
    ],
)
def test_what_is_no_branch_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadConfiguration, match=r"is no branch of a life; name one as the campaign did"):
        read_branch(text)


def test_a_cell_says_state_flow_alarms_and_one_fault() -> None:
    life = Life(SEED)
    assert cells_of(life.talk.pump) == ("RUN, nothing, nothing, no fault",)
    life.short_bolus()
    assert cells_of(life.talk.pump) == ("RUN, BOLUS, nothing, no fault",)
    for fault in ("motor-stall", "tube-set"):
        life.talk.pump.inject(fault, {"accuracy_ppm": 900_000} if fault == "tube-set" else {})
    assert cells_of(life.talk.pump) == ("RUN, BOLUS, nothing, motor-stall", "RUN, BOLUS, nothing, tube-set")
    life.talk.pump.cut_power()
    assert cells_of(life.talk.pump)[0] == "without power, nothing, nothing, motor-stall"


def test_a_plan_may_say_how_often_and_where_it_does_not_there_is_a_usual_number() -> None:
    assert exploring_plan(PLAN).explore == 8
    assert exploring_plan(read_plan(b"pump_days = 1", "it", "it.toml")).explore == 48
    with pytest.raises(BadConfiguration, match="cohort has cohort lives, which are no rows of deeds"):
        exploring_plan(load_plan("cohort"))
    with pytest.raises(BadConfiguration, match="explore must be a whole number from 0 to 1000, is -1"):
        read_plan(b"pump_days = 1\nexplore = -1", "it", "it.toml")
