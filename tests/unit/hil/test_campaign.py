"""Campaigns: the same result on any number of workers and resumptions, and what breaks is named with its seed."""

from __future__ import annotations

import json
import sqlite3
import sys
import tomllib
from concurrent.futures import BrokenExecutor, Future
from importlib import resources
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.campaign.code_digest import code_digest
from hil.campaign.deed import Deed, Event
from hil.campaign.life_marks import MARKS
from hil.campaign.lives_file import lives_file
from hil.campaign.plan import for_minutes, load_plan, plan_schema, read_plan, shipped_plans
from hil.campaign.playing import Lived, life_of, lived_by
from hil.campaign.properties import INVARIANTS
from hil.campaign.running import Campaign
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration, BenchLost, InUse, UsageError
from tests.simulation.life_mutants import MUTANTS
from tests.support.for_each import for_each
from tests.support.warm_python import run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result as Done

    from hil.campaign.plan import Plan
    from hil.campaign.running import Result

SMALL = b"pump_days = 1\nfirst_seed = 11\ndeeds = 4\nquiet_stretches = 0\ntwins_every = 4\n"
PLAN = read_plan(SMALL, "small", "small.toml")
FORKED = read_plan(SMALL.replace(b"pump_days = 1", b"explore = 1\npump_days = 5"), "forked", "forked.toml")
CODE = "of this test"


def ignoring() -> None:
    """Nobody watches."""


def played(
    path: Path,
    *,
    plan: Plan = PLAN,
    workers: int = 1,
    resume: bool = False,
    tell: Callable[[], None] = ignoring,
    clock_ms: Callable[[], int] = lambda: 0,
) -> Result:
    """A campaign into a file."""
    with lives_file(path, plan=plan.digest(), code=CODE, resume=resume) as file:
        return Campaign(plan, file, clock_ms).run(workers, tell)


def told(*words: object) -> Done:
    """The command, in this process."""
    return CliRunner().invoke(cli, ["campaign", *map(str, words)])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file of a small plan."""
    path = tmp_path / "small.toml"
    path.write_bytes(SMALL)
    return path


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pump that foresees to be empty before it is low: P9."""
    owner, name, made_from = next(
        mutant for mutant in MUTANTS if mutant.what == "empty comes before low"
    ).change
    monkeypatch.setattr(owner, name, made_from(getattr(owner, name)))


class Killed(BaseException):
    """Stands for the end of the process."""


def test_the_result_is_the_same_on_one_worker_and_two_and_when_killed_and_resumed(tmp_path: Path) -> None:
    at_once = played(tmp_path / "one", plan=FORKED)
    assert at_once.lives > 8
    assert at_once.forks > 4
    assert at_once.pump_ms >= 86_400_000
    assert played(tmp_path / "two", plan=FORKED, workers=2) == at_once

    kept = 0

    def kill() -> None:
        nonlocal kept
        kept += 1
        if kept == 3:
            raise Killed

    for count in (3, 6):
        kept = 0
        with pytest.raises(Killed):
            played(tmp_path / "killed", plan=FORKED, resume=count > 3, tell=kill)
        with sqlite3.connect(tmp_path / "killed") as file:
            assert file.execute("SELECT count(*) FROM lives").fetchone() == (count,)
    assert played(tmp_path / "killed", plan=FORKED, resume=True) == at_once
    assert (
        played(tmp_path / "two", plan=FORKED, resume=True, tell=lambda: pytest.fail("played again"))
        == at_once
    )


def test_lives_that_workers_played_ahead_of_a_gap_count_once_the_gap_is_played(tmp_path: Path) -> None:
    at_once = played(tmp_path / "one")
    with lives_file(tmp_path / "gap", plan=PLAN.digest(), code=CODE, resume=False) as file:
        for seed in (15, 12, 400):
            file.add(lived_by(PLAN, seed), 0)
        assert Campaign(PLAN, file, lambda: 0).result.lives == 0
    assert played(tmp_path / "gap", resume=True) == at_once


def test_minutes_may_be_asked_for_whatever_budget_the_plan_has() -> None:
    plan = for_minutes(PLAN, 7)
    assert (plan.pump_days, plan.minutes, plan.deeds) == (None, 7, PLAN.deeds)
    for minutes in (0, 100_001):
        with pytest.raises(BadConfiguration, match=f"a whole number from 1 to 100000, is {minutes}"):
            for_minutes(PLAN, minutes)


def test_minutes_are_those_of_all_runs_together(tmp_path: Path) -> None:
    plan = read_plan(SMALL.replace(b"pump_days = 1", b"minutes = 1"), "m", "m.toml")

    def clock() -> Callable[[], int]:
        now: Iterator[int] = iter(range(0, 10**9, 5_000))
        return lambda: next(now)

    lives = played(tmp_path / "one", plan=plan, clock_ms=clock()).lives
    assert 1 < lives < 12
    with lives_file(tmp_path / "one", plan=plan.digest(), code=CODE, resume=True) as file:
        assert file.origin().elapsed_ms >= 55_000
    assert played(tmp_path / "one", plan=plan, resume=True, clock_ms=clock()).lives <= lives + 2


def test_resume_is_named_only_where_it_would_go_on_and_what_else_there_is_to_do_at_once(
    tmp_path: Path,
) -> None:
    path, digest = tmp_path / "lives", PLAN.digest()
    with lives_file(path, plan=digest, code=CODE, resume=False):
        pass
    before = path.read_bytes()

    def refusal(plan: str, code: str, *, resume: bool) -> str:
        with (
            pytest.raises(BadConfiguration) as told,
            lives_file(path, plan=plan, code=code, resume=resume),
        ):
            pass
        assert path.read_bytes() == before
        return str(told.value)

    other_code = refusal(digest, "other", resume=False)
    assert "--resume cannot go on with them; begin anew and name another file with --out" in other_code
    assert other_code == refusal(digest, "other", resume=True)
    assert refusal("other", CODE, resume=False) == refusal("other", CODE, resume=True)
    assert refusal(digest, CODE, resume=False).endswith("go on with --resume, or name another with --out")


def test_a_file_of_another_plan_of_other_code_or_of_another_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hil.campaign.lives_file.WAIT_S", 0.05)
    path, digest = tmp_path / "lives", PLAN.digest()
    with (
        lives_file(path, plan=digest, code=CODE, resume=False),
        pytest.raises(InUse, match="another run plays into"),
        lives_file(path, plan=digest, code=CODE, resume=True),
    ):
        pass
    for plan, code, resume, words in (
        (digest, CODE, False, "exists; go on with --resume"),
        ("other", CODE, True, "lives of another plan"),
        (digest, "other", True, "lives that other code played"),
    ):
        with (
            pytest.raises(BadConfiguration, match=words),
            lives_file(path, plan=plan, code=code, resume=resume),
        ):
            pass


def test_a_file_that_is_no_database_is_refused_and_an_empty_one_is_begun(tmp_path: Path) -> None:
    junk, empty = tmp_path / "junk", tmp_path / "empty"
    junk.write_bytes(b"no database at all" * 99)
    with pytest.raises(BadConfiguration, match="cannot be read or written"):
        played(junk, resume=True)
    assert junk.read_bytes() == b"no database at all" * 99
    empty.touch()
    assert played(empty, resume=True).lives


def test_a_life_is_read_as_it_was_kept_and_a_file_of_another_version_is_refused_in_words(
    tmp_path: Path,
) -> None:
    path, lives = tmp_path / "lives", (lived_by(PLAN, seed) for seed in range(11, 99))
    life = next(life for life in lives if life.measured and life.faults)
    with lives_file(path, plan=PLAN.digest(), code=CODE, resume=False, now_s=0) as file:
        file.add(life, 0)
        broken = life._replace(seed=99, invariant="P9", found="\ud800", story=(Event(5, "wait"),))
        file.add(broken, 7)
        assert [*file.lives()] == [life, broken._replace(found="\\ud800")]
    with sqlite3.connect(path) as older:
        older.execute("PRAGMA user_version = 1")
    with pytest.raises(
        BadConfiguration, match=r"file of a campaign of version 1, and this pumpbench .* version 3"
    ):
        played(path, resume=True)


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lives"
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE mine (what)")
    before = path.read_bytes()
    with pytest.raises(BadConfiguration, match="no file of a campaign"):
        played(path, resume=True)
    assert path.read_bytes() == before


@pytest.mark.usefixtures("breaking")
def test_a_pump_that_breaks_an_invariant_is_found_named_and_found_again(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "lives"
    done = told("run", small, "--out", out, "--workers", 1, "--json")
    assert done.exit_code == 1 or type(done.exception).__name__ == "InvariantViolated", done.output
    document = json.loads(done.stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    first = document["violations"][0]
    assert (first["invariant"], first["meaning"]) == ("P9", INVARIANTS["P9"])
    assert first["replay"] == f"pumpbench campaign replay {first['seed']} --plan {small}"
    again = told("replay", first["seed"], "--plan", small, "--json")
    jsonschema.validate(json.loads(again.stdout), json_schema("campaign-replay"))
    assert json.loads(again.stdout)["violation"] == first | {"shrunk": None}
    assert json.loads(again.stdout)["story"]
    assert "P9" in str(again.exception)


@pytest.mark.usefixtures("breaking")
def test_an_invariant_that_a_plan_leaves_out_is_not_looked_at() -> None:
    seed = next(seed for seed in range(11, 99) if lived_by(PLAN, seed).invariant == "P9")
    without = read_plan(SMALL + b'invariants = ["P1", "P4", "P10"]\n', "small", "small.toml")
    assert lived_by(without, seed).invariant is None


def test_a_pump_that_raises_is_a_violation_and_the_other_lives_go_on(
    monkeypatch: pytest.MonkeyPatch, small: Path, tmp_path: Path
) -> None:
    def failing(*_: object) -> None:
        raise KeyError("nobody expects it")

    monkeypatch.setattr("hil.campaign.life.Life.bolus", failing)
    document = json.loads(told("run", small, "--out", tmp_path / "o", "--workers", 1, "--json").stdout)
    assert document["lives"] > len(document["violations"]) > 0
    assert {each["invariant"] for each in document["violations"]} == {"LIFE"}
    assert "KeyError: 'nobody expects it' (test_campaign.py" in document["violations"][0]["found"]


def test_the_smoke_plan_is_played_as_users_play_it_and_its_summary_says_what_was_reached(
    small: Path, tmp_path: Path
) -> None:
    """The real command line, on one process a core; so nothing that a plan has goes unplayed before a commit."""
    smoke = run_python([sys.executable, "-m", "hil.cli", "campaign", "run", "smoke"], cwd=tmp_path)
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    for words in (
        "plan smoke: ",
        " pump-days in",
        "pump-years a second",
        f" of {len(MARKS)} marks",
        "never reached: ",
        "13 invariants held against each life: no invariant was violated; lives are in campaign-smoke.sqlite3",
    ):
        assert words in smoke.stdout
    assert (tmp_path / "campaign-smoke.sqlite3").is_file()
    done = told("replay", 12, "--plan", small)
    assert done.output.startswith("day 0, 00:00  ")
    assert "every invariant held" in done.output


class InThisProcess:
    """Workers that are said to be two, and play when they are asked."""

    batch_ms = 1_000

    def __init__(self) -> None:
        self.batches: list[int] = []

    def count(self) -> int:
        return 2

    def submit(self, call: Any, /, *args: Any) -> Future[Any]:
        self.batches.append(len(args[-1]))
        played: Future[Any] = Future()
        played.set_result(call(*args))
        return played

    def shutdown(self, *, cancel_futures: bool) -> None:
        assert cancel_futures


class Killing(InThisProcess):
    """Workers that are killed when so many batches were handed out."""

    batches_max = 6

    def submit(self, call: Any, /, *args: Any) -> Future[Any]:
        if len(self.batches) == self.batches_max:
            raise BrokenExecutor
        return super().submit(call, *args)


def test_workers_that_are_killed_cost_time_and_where_none_plays_any_life_that_is_said(tmp_path: Path) -> None:
    at_once = played(tmp_path / "one")
    with lives_file(tmp_path / "killed", plan=PLAN.digest(), code=CODE, resume=False) as file:
        assert Campaign(PLAN, file, lambda: 0).run_on(Killing, ignoring) == at_once
    with (
        lives_file(tmp_path / "none", plan=PLAN.digest(), code=CODE, resume=False) as file,
        pytest.raises(BenchLost, match="workers of the campaign were lost or killed, and none has played"),
    ):
        Campaign(PLAN, file, lambda: 0).run_on(type("KillingAll", (Killing,), {"batches_max": 0}), ignoring)


class Knowing(InThisProcess):
    """Workers that play a life the first time that one of them is asked for it."""

    def __init__(self, known: dict[int, Lived]) -> None:
        super().__init__()
        self.known = known

    def submit(self, call: Any, /, *args: Any) -> Future[Any]:
        plan, seeds = args
        self.known |= {seed: call(plan, [seed])[0] for seed in seeds if seed not in self.known}
        return super().submit(lambda _, seeds: [self.known[seed] for seed in seeds], plan, seeds)


def batches(path: Path, life_ms: int, plan: Plan, known: dict[int, Lived]) -> tuple[list[int], Result]:
    """Of a campaign whose lives take so long, by its clock: how many lives each batch has, and what came of it."""
    workers, now_ms = Knowing(known), 0

    def tell() -> None:
        nonlocal now_ms
        now_ms += life_ms // workers.count()

    with lives_file(path, plan=plan.digest(), code=CODE, resume=False, now_s=0) as file:
        return workers.batches, Campaign(plan, file, lambda: now_ms).run_on(lambda: workers, tell)


def test_a_batch_has_as_many_lives_as_take_a_worker_its_time_and_no_more_than_are_left(
    tmp_path: Path,
) -> None:
    text = b"pump_days = 5\ndeeds = 1\nquiet_stretches = 0\ntwins_every = 0\n"  # lives of some milliseconds
    plan = read_plan(text, "short", "short.toml")
    known: dict[int, Lived] = {}
    (of_1_ms, of_200_ms, of_5_s), (at_once, *others) = zip(
        *(batches(tmp_path / str(life_ms), life_ms, plan, known) for life_ms in (1, 200, 5_000)), strict=True
    )
    assert others == [at_once, at_once]
    assert of_1_ms[:4] == of_200_ms[:4] == [1, 1, 1, 1]  # how long they take is not known yet
    assert all(lives <= sum(of_1_ms[:number]) for number, lives in enumerate(of_1_ms) if number)
    assert {*of_5_s} == {1}
    assert max(of_200_ms) == 6
    assert 6 < max(of_1_ms) <= at_once.lives // 4
    assert max(map(sum, (of_1_ms, of_200_ms, of_5_s))) < 2 * at_once.lives


@for_each(
    ("text", "words"),
    [
        ("", "must have one of pump_days and minutes"),
        ("pump_days = 1\nminutes = 1", "must have one of pump_days and minutes"),
        ("pump_days = 0", "pump_days must be a whole number from 1 to 1000000000, is 0"),
        ("pump_days = true", "pump_days must be a whole number"),
        ("pump_day = 1", "there is no key 'pump_day'; there are pump_days,"),
        ("pump_days =", "is no TOML"),
        (
            'pump_days = 1\nfaults = ["stall"]',
            "faults must be a list, without repeats, of one or more of: motor",
        ),
        ("pump_days = 1\nfaults = []", "faults must be a list"),
        ('pump_days = 1\nmarks = "all"', "marks must be a list"),
        ("pump_days = 1\n[weights]\nbolsu = 1", "weights: there is no key 'bolsu'"),
        ("pump_days = 1\n[weights]\nbolus = -1", r"bolus must be a whole number from 0 to 1000, is -1"),
        ("pump_days = 1\nweights = 3", "weights must be a table, is 3"),
        ('pump_days = 1\nempty_policy = "go"', "empty_policy must be one of"),
        ('pump_days = 1\nempty_policy = ["continue"]', "empty_policy must be one of"),
        (
            'pump_days = 1\ntwins_every = 0\ninvariants = ["P4"]',
            "nothing would look at P4, as twins_every is 0",
        ),
    ],
    name=lambda case: case[0] or "nothing",
)
def test_a_plan_that_cannot_be_right_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(BadConfiguration, match=words) as caught:
        read_plan(text.encode(), "it", "it.toml")
    assert "it.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_whose_weights_leave_nothing_is_refused() -> None:
    none = "\n".join(f"{name} = 0" for name in plan_schema()["properties"]["weights"]["properties"])
    with pytest.raises(BadConfiguration, match="weights leaves no deed"):
        read_plan(f"pump_days = 1\n[weights]\n{none}".encode(), "it", "it.toml")


def test_weights_faults_and_pairs_make_the_lives_of_a_plan() -> None:
    text = b'pump_days = 1\npairs = 2\nfaults = ["wear"]\n[weights]\nbolus = 3\nwait = 0\n'
    plan = read_plan(text, "it", "it.toml")
    deeds = plan.play().deeds
    assert (deeds.count("bolus"), deeds.count("wait"), deeds.count("prime")) == (3, 0, 2)
    assert {fault for fault, _ in plan.pairs_of(1)} == {"wear"} == {*plan.play().faults}
    assert not {*plan.pairs_of(1)} & {*plan.pairs_of(2)}


def test_no_fault_comes_by_chance_that_the_plan_leaves_out() -> None:
    def faults_of(plan: Plan, seed: int) -> list[str]:
        life = life_of(plan, seed)
        life.do(Deed(1, "quiet_weeks", (("quiet_days", 1),)))
        assert "nothing for 1 days" in [event.deed for event in life.story]
        return [event.deed.split()[1] for event in life.story if event.deed.startswith("fault ")]

    text = b"pump_days = 1\nfaults = [%s]\n[weights]\nwait = 9\n"
    alone, with_unseen, with_hang = (
        read_plan(text % names, "it", "it.toml")
        for names in (b'"mri"', b'"mri", "occlusion"', b'"mri", "hung-task"')
    )
    assert [faults_of(alone, seed) for seed in (1, 2)] == [[], []]
    assert [faults_of(with_unseen, seed) for seed in (1, 2)] == [["occlusion"]] * 2
    assert ["hang" in plan.play().deeds for plan in (alone, with_unseen, with_hang)] == [False, False, True]
    with pytest.raises(
        BadConfiguration, match="weights: hang is the fault hung-task, which faults leaves out"
    ):
        read_plan(text % b'"mri"' + b"hang = 1\n", "it", "it.toml")


@for_each("name", shipped_plans())
def test_each_shipped_plan_is_one_and_its_schema_says_so(name: str) -> None:
    text = resources.files("hil.campaign").joinpath("plans", f"{name}.toml").read_text()
    checker: Any = jsonschema.Draft202012Validator(plan_schema())
    checker.validate(tomllib.loads(text))
    assert load_plan(name).name == name
    assert not checker.is_valid({"pump_days": 1, "minutes": 1})


def test_four_plans_are_shipped_and_one_that_is_not_there_names_them(tmp_path: Path) -> None:
    assert told("plans").output.split() == ["cohort", "faults", "night", "smoke"]
    with pytest.raises(
        BadConfiguration, match=r"cannot be read: .*; name a file, or one of cohort, faults, night, smoke"
    ):
        load_plan(str(tmp_path / "none.toml"))


def test_code_is_known_by_its_files() -> None:
    assert code_digest() == code_digest()
    assert len(code_digest()) == 64


NO_EXECUTORS: tuple[tuple[tuple[str, ...], type[Exception], str], ...] = (
    (("dask://127.0.0.1",), BadConfiguration, "names no host and port; write dask://HOST:PORT"),
    (("ray://127.0.0.1:1",), BadConfiguration, "there is no executor"),
    (("dask://127.0.0.1:1", "--workers", "2"), UsageError, "--executor names others"),
    (("dask://127.0.0.1:1",), BadConfiguration, r"pip install 'pumpbench\[dask\]'"),
)


def test_an_executor_that_cannot_be_is_refused(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)  # as where the extra is not installed
    for words, error, found in NO_EXECUTORS:
        done = told("run", small, "--out", tmp_path / "lives", "--executor", *words)
        with pytest.raises(error, match=found):
            raise done.exception or AssertionError(words)
