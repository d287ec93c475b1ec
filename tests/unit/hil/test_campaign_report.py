"""The report of a campaign: what broke, the worst fault and its story stand on a page that asks for nothing."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import sqlite3
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from firmware_emu.patient.person import NO_DIAGNOSIS
from hil.campaign.code_digest import code_digest
from hil.campaign.deed import Event
from hil.campaign.exploring import Explored
from hil.campaign.lives_file import kept_lives, lives_file
from hil.campaign.measuring import FaultLived
from hil.campaign.pairs import LEFT_OUT
from hil.campaign.plan import read_plan
from hil.campaign.playing import Lived, lived_by
from hil.campaign.report import documents
from hil.campaign.report.directory import JSON_NAME, PAGE_NAME, CampaignReportDirectory
from hil.campaign.report.distribution import histogram, spread_of, value_words
from hil.campaign.report.documents import CAMPAIGN_FILE_DOCUMENTS
from hil.campaign.report.findings import Findings, findings_of
from hil.campaign.report.json_report import document_of
from hil.campaign.report.page import page_of
from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration, InUse
from hil.pages.html_page import LIMIT_BYTES
from tests.simulation.life_mutants import MUTANTS
from tests.support.for_each import for_each
from tests.support.not_run import needs_program
from tests.support.patience import PATIENCE_S
from tests.unit.hil.test_json_schema import closed

if TYPE_CHECKING:
    from click.testing import Result as Done

    from hil.campaign.plan import Plan

DAY_MS = 86_400_000
HOSTILE = "<script>alert(1)</script>\x00\u202e\"'&<img src=http://127.0.0.1:{port}/seen onerror=x()>"
PLAN = read_plan(b"pump_days = 40\npairs = 2\ntwins_every = 0\n", "it", "it.toml")


def lives(port: int = 1) -> list[Lived]:
    """Six lives: two broke an invariant while the clock ran slow, and a stall took most of the therapy."""
    kept = []
    for seed in range(1, 7):
        broken = seed in (2, 5)
        kept.append(
            Lived(
                seed,
                5 * DAY_MS,
                ("a bolus cancelled",),
                (("motor-stall", "bolus"),),
                "P7" if broken else None,
                f"no tone {HOSTILE.format(port=port)}" if broken else "",
                (
                    ("stall_to_alarm_ms", (1_200_000 + seed,)),
                    ("therapy_lost_ms", (3_600_000 * seed,)),
                    ("volume_error_at_refill_ppm", (-20_000 * seed, 100)),
                ),
                (
                    FaultLived("motor-stall", 7, DAY_MS, 3_600_000 * seed, 2_000 * seed, at_end=False),
                    FaultLived("clock-rate", 9, DAY_MS, 60_000, 0, at_end=broken),
                ),
                (Event(0, "check_up"), Event(DAY_MS + 1, f"pair {HOSTILE.format(port=port)}"))
                if broken
                else (),
            )
        )
    return kept


def kept_in(path: Path, rows: list[Lived], code: str = "of this test", plan: Plan = PLAN) -> Path:
    with lives_file(path, plan=plan.digest(), code=code, resume=False, now_s=1_790_000_000) as file:
        for each in rows:
            file.add(each, 60_000)
    return path


def found_in(tmp_path: Path, rows: list[Lived]) -> Findings:
    with kept_lives(kept_in(tmp_path / "lives", rows), plan=PLAN.digest()) as file:
        return findings_of(PLAN, "it.toml", file)


class Read(HTMLParser):
    """Tags, attributes, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.links += [str(value) for name, value in attrs if name == "href"]


def part(text: str, anchor: str) -> str:
    """From the heading with this id to the next."""
    start = text.index(f'id="{anchor}"')
    end = text.find("<h2", start)
    return text[start : None if end < 0 else end]


def test_the_worst_fault_stands_first_and_its_story_is_one_click_away(tmp_path: Path) -> None:
    text = page_of(found_in(tmp_path, lives()))
    top = text[: text.index("<nav>")]
    assert "An invariant does not hold in 2 of 6 lives" in top
    assert "at work in 2 of 2</li>" in top
    assert Read(top).links[:2] == ["#f-clock-rate", "#life-2"]
    assert 'Most therapy lost: <a href="#f-motor-stall"' in top
    story = text[text.index('id="life-2"') : text.index('id="life-5"')]
    assert "<details open>" in story
    assert "day 1, 00:00:00.001" in story
    assert "pumpbench campaign replay 2 --plan it.toml" in story
    read = Read(text)
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_faults_are_ranked_by_violations_then_by_therapy_beyond_the_usual(tmp_path: Path) -> None:
    rows = lives()
    found = found_in(tmp_path, rows)
    assert [fault.name for fault in found.faults] == ["clock-rate", "motor-stall"]
    stall = found.faults[1]
    assert (stall.lives, stall.effects, stall.worst_seed) == (6, 42, 6)
    assert (stall.lost_ms, stall.error_nl, stall.error_each_nl) == (21 * 3_600_000, 12_000, 7_000)
    usual = 21 * 3_600_000 / (30 * DAY_MS)
    assert found.usual.lost_share == pytest.approx(usual)
    assert stall.more_lost_ms(found.usual) == round(3.5 * 3_600_000 - usual * DAY_MS)
    without = [each._replace(invariant=None, found="", story=()) for each in rows]
    (tmp_path / "lives").unlink()
    assert [fault.name for fault in found_in(tmp_path, without).faults] == ["motor-stall", "clock-rate"]


def test_the_table_marks_what_was_never_reached_and_what_makes_no_sense(tmp_path: Path) -> None:
    text = part(page_of(found_in(tmp_path, lives())), "pairs")
    cells = Read(text)
    assert cells.tags.count("th") == 11 + 43 - (43 - len(PLAN.faults))
    assert text.count('<td class="hit">6</td>') == 1
    due = len(PLAN.faults) * 10 - len(LEFT_OUT)
    assert text.count('<td class="never">0</td>') == due - 1
    assert text.count('<td class="no"') == len(LEFT_OUT)
    assert f"{due - 1} of {due} pairs never" in text


def test_what_lives_say_is_text_on_the_page_and_nothing_else(tmp_path: Path) -> None:
    text = page_of(found_in(tmp_path, lives()))
    read = Read(text)
    assert not {*read.tags} & {"script", "img", "link", "iframe", "object", "form"}
    assert not {name for name in read.attributes if name.startswith("on") or name == "src"}
    assert all(link.startswith("#") for link in read.links)
    assert "\x00" not in text
    assert "\u202e" not in text
    assert "default-src 'none'" in text


def test_an_unfinished_run_and_lives_that_do_not_count_are_said(tmp_path: Path) -> None:
    rows = [each for each in lives() if each.seed != 3]  # 4 to 6 wait for it
    found = found_in(tmp_path, rows)
    text = page_of(found)
    assert "UNFINISHED: 10 of 40 pump-days were played when this page was written; --resume goes on" in text
    assert "2, and 3 that do not count" in part(text, "played")
    document = document_of(found)["played"]
    assert (document["finished"], document["lives"], document["lives_beyond"]) == (False, 2, 3)
    (tmp_path / "lives").unlink()
    nothing = page_of(found_in(tmp_path, []))
    assert "No life was played: nothing is shown" in nothing
    assert "No invariant was violated" not in nothing
    assert "none did harm" not in nothing
    assert "No fault took effect" not in nothing
    assert 'class="mark"><b class="good"' not in nothing


def test_a_campaign_in_which_all_held_says_so_and_is_finished(tmp_path: Path) -> None:
    rows = [lives()[0]._replace(seed=seed) for seed in range(1, 9)]
    text = page_of(found_in(tmp_path, rows))
    assert '<p class="banner good">11 invariants held in each of 8 lives' in text
    assert "UNFINISHED" not in text
    assert "Worst fault, most therapy lost: <a" in text


def test_a_cohort_stands_beside_what_is_published(tmp_path: Path) -> None:
    out = tmp_path / "report"
    plan = tmp_path / "it.toml"
    plan.write_bytes(b'pump_days = 900\nlife = "cohort"\n[cohort]\ndays = 150\n')
    done = told("run", plan, "--out", tmp_path / "lives", "--workers", 1, "--report", out)
    assert done.exit_code == 0, done.output
    text = (out / PAGE_NAME).read_text()
    assert "by weight" in part(text, "cohort")
    assert "The plan plays no pairs" in text
    assert 'id="m-accuracy_error_ppm"' in text
    read = Read(text)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_what_forks_from_rare_states_reached_alone_stands_with_their_cost_on_the_page_and_in_the_json(
    tmp_path: Path,
) -> None:
    plan = replace(PLAN, explore=2)
    own, twice, forked, odd = (
        f"RUN, {flows}, nothing, mri" for flows in ("BOLUS", "PRIME", "BRIDGE", "PATIENT")
    )
    path = tmp_path / "lives"
    with lives_file(path, plan=plan.digest(), code="of this test", resume=False) as file:
        empty = page_of(findings_of(plan, "it.toml", file))
        # what a life reached by itself is not reached in forks alone, whichever life it was
        for seed, cells in ((1, (own, forked)), (2, (own, twice, HOSTILE))):
            explored = Explored(2, 1_008, 3 * DAY_MS, ("a prime delivered", "a bolus cancelled"), cells)
            row = lives()[0]._replace(pump_ms=10 * DAY_MS, deeds=100, cells=(odd, *[forked] * (seed == 2)))
            file.add(row._replace(seed=seed, explored=explored), 0)
        broken = lives()[1]._replace(seed=3, branch="12:3")
        file.add(broken, 0)
        found = findings_of(plan, "it.toml", file)
    section = part(page_of(found), "explored")
    assert (
        "Cost: 4 forks from rare states, 2,016 deeds in 6.0 pump-days, beside 200 deeds in 19 pump-days"
        in section
    )
    assert "one violation, one mark, 3 cells" in section
    assert "<li>a prime delivered, in forks of 2 lives</li>" in section
    assert '<td data-label="What flows">BOLUS</td>' in section
    assert '<td data-label="What flows">BRIDGE</td>' not in section
    assert "<script" not in section
    assert "it pays for none" in section
    assert "Life 3 in its fork 12:3: P7" in page_of(found)
    explored_json = document_of(found)["explored"]
    assert explored_json is not None
    assert explored_json["violations"] == [3]
    assert explored_json["marks"] == [{"name": "a prime delivered", "lives": 2}]
    assert explored_json["cells"][0] == {"name": own, "lives": 2}
    assert {"state": "RUN", "alone": 2, "only_in_forks": 2} in explored_json["states"]
    assert [each["budget"] for each in explored_json["same_budget"]] == [19, 200]
    assert "No life was gone on from" in part(empty, "explored")
    path.unlink()
    without = found_in(tmp_path, lives())
    assert 'id="explored"' not in page_of(without)
    assert document_of(without)["explored"] is None


def test_of_very_many_cells_the_first_are_on_the_page_and_the_json_has_all(tmp_path: Path) -> None:
    plan = replace(PLAN, explore=2)
    cells = tuple(f"RUN, BOLUS, nothing, {each:0200}" for each in range(9_000))
    with lives_file(tmp_path / "lives", plan=plan.digest(), code="of this test", resume=False) as file:
        file.add(lives()[0]._replace(explored=Explored(2, 8, 5, (), cells)), 0)
        found = findings_of(plan, "it.toml", file)
    text = page_of(found)
    assert len(text.encode()) < LIMIT_BYTES
    assert "8,500 more are in campaign.json alone" in part(text, "explored")
    explored = document_of(found)["explored"]
    assert explored is not None
    assert len(explored["cells"]) == 9_000


def test_an_unfinished_run_is_not_green_though_all_held(tmp_path: Path) -> None:
    text = page_of(found_in(tmp_path, lives()[:1]))
    assert '<p class="banner unsure">11 invariants held in each of one life' in text
    assert 'class="banner good"' not in text
    assert "UNFINISHED" in text


def test_patients_at_risk_beyond_the_usual_come_before_therapy_lost(tmp_path: Path) -> None:
    plan = read_plan(b"pump_days = 40\npatient = true\ntwins_every = 0\n", "it", "it.toml")
    stall = FaultLived("motor-stall", 7, DAY_MS, 9 * 3_600_000, 0, at_end=False)
    leak = FaultLived("catheter-leak", 7, DAY_MS, 0, 0, at_end=False, withdrawal_ms=7_200_000, overdose_ms=1)
    measured = (("withdrawal_risk_ms", (7_200_000,)),)
    path = tmp_path / "lives"
    with lives_file(path, plan=plan.digest(), code="of this test", resume=False) as file:
        file.add(Lived(1, 5 * DAY_MS, (), (), measured=measured, faults=(stall, leak)), 0)
        file.add(Lived(2, 5 * DAY_MS, (), (), faults=(stall,)), 0)
        found = findings_of(plan, "it.toml", file)
    assert [fault.name for fault in found.faults] == ["catheter-leak", "motor-stall"]
    text = page_of(found)
    assert 'Worst fault, most time of patients at risk: <a href="#f-catheter-leak"' in text
    assert NO_DIAGNOSIS in text
    assert "Withdrawal risk in a life" in text
    assert document_of(found)["faults"][0]["risks_ms"] == {
        "withdrawal_risk_ms": 7_200_000,
        "overdose_risk_ms": 1,
    }


def test_a_page_stays_under_2_mb_and_says_which_stories_are_not_on_it(tmp_path: Path) -> None:
    long = tuple(Event(each, "a deed with many words " * 6) for each in range(390))
    rows = [lives()[1]._replace(seed=seed, pump_ms=1, story=long) for seed in range(1, 61)]
    text = page_of(found_in(tmp_path, rows))
    assert len(text.encode()) < LIMIT_BYTES
    assert "Stories of 40 more are in campaign.json alone" in text
    assert text.count("<ol") == 20


def test_of_very_many_violations_the_first_are_on_the_page_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    broken = lives()[1]._replace(pump_ms=1)
    rows = [broken._replace(seed=seed) for seed in range(1, 520)]
    read = Read(page_of(found_in(tmp_path, rows)))
    assert sum(name.startswith("life-") for name in read.ids) == 500
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_the_json_is_valid_by_the_schema_that_is_installed(tmp_path: Path) -> None:
    ((name, schema, _),) = CAMPAIGN_FILE_DOCUMENTS
    described = json.loads((Path(documents.__file__).parent / name).read_bytes())
    document: Any = document_of(found_in(tmp_path, lives()))
    jsonschema.validate(document, closed(described), jsonschema.Draft202012Validator)
    assert document["schema"] == schema
    assert document["played"]["began_at"].startswith("2026-")
    assert [each["seed"] for each in document["violations"]] == [2, 5]
    assert document["violations"][0]["faults_at_work"] == ["clock-rate"]
    spread = next(each for each in document["measured"] if each["name"] == "stall_to_alarm_ms")
    assert (spread["count"], spread["lowest"], spread["highest"]) == (6, 1_200_001, 1_200_006)
    for key in document:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**document, key: 5j}, described, jsonschema.Draft202012Validator)


# Distributions


def test_few_numbers_of_many_are_those_of_the_row() -> None:
    spread = spread_of([5, 1, 4, 2, 3] * 20)
    assert (spread.number, spread.lowest, spread.quantiles, spread.highest) == (100, 1, (1, 2, 3, 4, 5), 5)


@for_each(
    ("name", "values"),
    [
        ("stall_to_alarm_ms", [1_200_000] * 5),
        ("stall_to_alarm_ms", [1_200_000 + each for each in range(50)] + [10**9]),
        ("stopped_ms", [1, 10**3, 10**6, 10**6, 10**10]),
        ("dry_to_alarm_ms", [-(10**8), 0, 0, 1, 10**8]),
        ("volume_error_at_refill_ppm", [0] * 5),
        ("volume_error_at_refill_nl", [-20_000_000, *range(200)]),
        ("beats_per_min", [60, 70, 80, 90, 100]),
    ],
    name=lambda case: f"{case[0]} of {len(case[1])}",
)
def test_each_value_is_in_a_bar_or_counted_as_too_far_out(name: str, values: list[int]) -> None:
    drawn = histogram(name, "", values)
    bars = [int(text.rpartition(": ")[2]) for text in _titles(drawn)]
    beyond = drawn.partition("too far out: ")[2].split(".")[0]
    out = sum(int(word) for word in beyond.split() if word.isdigit())
    assert sum(bars) + out == len(values)
    assert out < max(1, len(values) // 10) or not beyond
    assert "NaN" not in drawn
    assert "inf" not in drawn.replace("infus", "")


def test_few_values_are_said_and_not_drawn() -> None:
    drawn = histogram("dry_to_alarm_ms", "", [3_600_000, -60_000])
    assert "<svg" not in drawn
    assert "-1 min, 1 h." in drawn


def _titles(drawn: str) -> list[str]:
    return [each.partition("</title>")[0] for each in drawn.split("<title>")[1:]]


@for_each(
    ("name", "value", "words"),
    [
        ("a_ms", 1_231_000, "20 min 31 s"),
        ("a_ms", -93_600_000, "-1 d 2 h"),
        ("a_ms", 0, "0 ms"),
        ("a_ms", 3_600_001, "1 h"),
        ("a_nl", 1_500, "1.5 µL"),
        ("a_nl", -20_000_000, "-20 mL"),
        ("a_ppm", 145_000, "14.5 %"),
        ("a_beats", 3, "3 beats"),
    ],
)
def test_values_are_said_in_units_that_people_read(name: str, value: int, words: str) -> None:
    assert value_words(name, value) == words


# The commands


def told(*words: object) -> Done:
    return CliRunner().invoke(cli, ["campaign", *map(str, words)])


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "it.toml"
    path.write_bytes(b"pump_days = 40\npairs = 2\ntwins_every = 0\n")
    return path


def test_the_command_writes_the_report_of_a_file_and_says_which_it_replaces(
    tmp_path: Path, plan_file: Path
) -> None:
    file, out = kept_in(tmp_path / "lives", lives()), tmp_path / "deep" / "report"
    done = told("report", file, "--plan", plan_file, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    jsonschema.validate(document, json_schema("campaign-report"))
    assert (document["lives"], document["violations"], document["finished"]) == (6, 2, False)
    assert {path.name for path in out.iterdir()} == {PAGE_NAME, JSON_NAME}
    assert "Other code than that" in (out / PAGE_NAME).read_text()
    again = told("report", file, "--plan", plan_file, "--out", out)
    assert f"replaced: the report of a campaign in {out}, of 20" in again.output
    assert "unfinished: the budget of the plan is not spent" in again.output
    with sqlite3.connect(file) as read:
        assert read.execute("SELECT runs FROM campaign").fetchone() == (1,), "to report is no run"


def test_the_worst_life_is_played_again_for_its_story_where_the_code_is_the_same(
    tmp_path: Path, plan_file: Path
) -> None:
    said = b"pump_days = 40\npairs = 1\ntwins_every = 0\nquiet_stretches = 0\ndeeds = 4\n"
    plan_file.write_bytes(said)
    plan, rows = read_plan(said, "it", "it.toml"), list[Lived]()
    while not rows or not any(each.lost_ms for each in rows[-1].faults):
        rows.append(lived_by(plan, len(rows) + 1))
    life = rows[-1]
    file = kept_in(tmp_path / "lives", rows, code_digest(), plan)
    done = told("report", file, "--plan", plan_file, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report" / PAGE_NAME).read_text()
    assert "Other code" not in text
    story = text[text.index(f'id="life-{life.seed}"') :]
    assert "Story: " in story
    assert "<li><time>day 0, 00:00</time> " in story


def test_a_directory_that_cannot_be_written_is_found_out_before_the_first_life(
    tmp_path: Path, plan_file: Path
) -> None:
    (tmp_path / "file").touch()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / PAGE_NAME).write_text("of somebody")
    for out, words in (
        (tmp_path / "file" / "x", "cannot be written"),
        ("/proc", "cannot be written"),  # it is there, and takes no file of anybody
        ("", "--report names no directory"),
        (foreign, "no report of a campaign"),
    ):
        done = told("run", plan_file, "--out", tmp_path / "lives", "--report", out)
        assert isinstance(done.exception, BadConfiguration), done.output
        assert words in str(done.exception)
        assert not (tmp_path / "lives").exists()
    assert (foreign / PAGE_NAME).read_text() == "of somebody"
    held = CampaignReportDirectory(tmp_path / "held")
    held.take()
    done = told("run", plan_file, "--out", tmp_path / "lives", "--report", tmp_path / "held")
    assert isinstance(done.exception, InUse)
    held.close()


def test_a_file_that_is_not_there_or_of_another_plan_has_no_report(tmp_path: Path, plan_file: Path) -> None:
    done = told("report", tmp_path / "none", "--plan", plan_file, "--out", tmp_path / "report")
    assert "there is no file" in str(done.exception)
    file = kept_in(tmp_path / "lives", lives())
    done = told("report", file, "--plan", "smoke", "--out", tmp_path / "report")
    assert "lives of another plan" in str(done.exception)
    assert not (tmp_path / "report").exists()


class Killed(BaseException):
    """Stands for Ctrl-C."""


def test_a_run_leaves_a_report_also_where_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "small.toml"
    plan.write_bytes(b"pump_days = 3\ndeeds = 4\nquiet_stretches = 0\ntwins_every = 4\n")
    out, report = tmp_path / "lives", tmp_path / "report"

    def lived_or_killed(plan: Any, seed: int) -> Lived:
        if seed == 4:
            assert "UNFINISHED" in (report / PAGE_NAME).read_text(), "while it runs, it is not finished"
            raise Killed
        return lived_by(plan, seed)

    monkeypatch.setattr("hil.campaign.running.lived_by", lived_or_killed)
    with pytest.raises(Killed):
        told("run", plan, "--out", out, "--workers", 1, "--report", report)
    played = json.loads((report / JSON_NAME).read_text())["played"]
    assert (played["lives"], played["finished"], played["runs"]) == (3, False, 1)
    monkeypatch.undo()
    done = told("run", plan, "--out", out, "--workers", 1, "--report", report, "--resume", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    jsonschema.validate(document, json_schema("campaign-run"))
    assert (document["finished"], document["report"]) == (True, str(report / PAGE_NAME))
    played = json.loads((report / JSON_NAME).read_text())["played"]
    assert (played["lives"], played["finished"], played["runs"]) == (document["lives"], True, 2)
    assert "in 2 runs" in (report / PAGE_NAME).read_text()


def test_a_violation_has_its_short_story_first_and_the_command_that_plays_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, made_from = next(
        mutant for mutant in MUTANTS if mutant.what == "empty comes before low"
    ).change
    monkeypatch.setattr(owner, name, made_from(getattr(owner, name)))
    plan, report = tmp_path / "small.toml", tmp_path / "report"
    plan.write_bytes(b"pump_days = 2\ndeeds = 6\nquiet_stretches = 0\ntwins_every = 0\n")
    done = told("run", plan, "--out", tmp_path / "lives", "--workers", 1, "--report", report, "--json")
    document = json.loads((report / JSON_NAME).read_text())
    first = document["violations"][0]
    shrunk = first["shrunk"]
    of_the_run = json.loads(done.stdout)["violations"][0]
    assert {key: first[key] for key in of_the_run} == of_the_run, "run and report tell it alike"
    assert first["invariant"] == "P9"
    assert 0 < shrunk["deeds"] <= shrunk["deeds_before"]
    assert f"campaign replay {first['seed']} --deeds " in shrunk["replay"]
    text = (report / PAGE_NAME).read_text()
    section = text[text.index(f'id="life-{first["seed"]}"') :]
    words = f"of {shrunk['deeds_before']} will do</summary>"
    assert section.index("<details open><summary>Short story: ") < section.index(words)
    assert section.index(words) < section.index("<summary>Story: ")
    assert sum(each["shrunk"] is not None for each in document["violations"]) == min(
        3, len(document["violations"])
    )


def test_a_fault_without_which_the_invariant_does_not_hold_either_is_told_not_to_be_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.what == "a stopped pump turns slowly")
    owner, name, made_from = mutant.change
    monkeypatch.setattr(owner, name, made_from(getattr(owner, name)))
    report = tmp_path / "report"
    done = told("run", "smoke", "--out", tmp_path / "lives", "--workers", 1, "--report", report)
    document = json.loads((report / JSON_NAME).read_text())
    stories = {
        each["seed"]: each["shrunk"]["story"] for each in document["violations"] if each["shrunk"] is not None
    }
    without = {fault["fault"]: fault["violations_without"] for fault in document["faults"]}
    for fault, seeds in without.items():
        for seed in seeds:
            assert not any(f"fault {fault}" in each["deed"] for each in stories[seed])
    worst = document["faults"][0]
    assert worst["violations_without"]
    page = (report / PAGE_NAME).read_text()
    assert "; without it too in " in page
    assert " (comes without it too)" in page
    assert " without it too), " in done.output


# In a browser


@needs_program("chromium", package="chromium")
def test_the_page_opens_in_a_browser_shows_table_plots_and_stories_and_asks_for_nothing(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        file = tmp_path / "report.html"
        file.write_text(page_of(found_in(tmp_path, lives(server.getsockname()[1]))))
        chromium = shutil.which("chromium")
        assert chromium is not None
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile")
        done = subprocess.run(
            [chromium, *options, "--dump-dom", file.as_uri()],
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            timeout=PATIENCE_S,
            check=False,
        )
        asked, _, _ = select.select([server], [], [], 0)
    assert 'class="never"' in done.stdout, done.stderr
    assert 'id="m-stall_to_alarm_ms"' in done.stdout
    assert done.stdout.count("<svg") > 4
    assert '<ol class="story"' in done.stdout
    assert "<script" not in done.stdout
    assert not asked
