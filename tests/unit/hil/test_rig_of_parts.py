"""A rig of parts: what the bench file says of instruments, what a rig of them does, and what it says that it lacks."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hil.capabilities import TargetCapability
from hil.errors import BadConfiguration, BenchLost, NotOnThisRig, UsageError
from hil.instruments.composed_rig import ComposedRig, brought_by, declared_instruments
from hil.instruments.declaration import KINDS, BenchAccess
from hil.instruments.emulated_balance import EmulatedBalance
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.lab_access import lab_access
from hil.targets.port import open_port
from tests.support.stand_in_board import StandInBoard, time_answer
from tests.unit.bench.processes import ThreadBench
from tests.unit.hil.runs import pytest_on
from tests.unit.hil.test_balance import BalanceLine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.rig import Rig

ON_OFF = {"on": "relay on", "off": "relay off"}
BALANCE = {"port": "/dev/balance"}

UNSEEN = (lambda _words, _what: None, lambda _url, _limit_ms: None)
"""Of a lab where each program and address is there."""


class Desk:
    """An emulated pump, and a lab around it whose every end is handed in."""

    def __init__(self, answers: list[bool] | None = None) -> None:
        self.target = EmulatedTarget(PumpChoice())
        self.target.start()
        self.done: list[str] = []
        self.questions: list[str] = []
        self.waited_ms = 0
        self.used: Counter[str] = Counter()
        self._answers = answers

    def rig(self, **tables: Mapping[str, object]) -> ComposedRig:
        ask = None if self._answers is None else self._ask
        access = BenchAccess(self._run, self._open, self.done.append, ask, self._wait, *UNSEEN)
        return ComposedRig("bench:rig1", declared_instruments("pumpbench.toml", tables), access, self.used)

    def _run(self, words: tuple[str, ...], _what: str) -> None:
        self.done.append(" ".join(words))
        actions: dict[str, Callable[[Rig], object]] = {
            "relay off": lambda rig: rig.power_cut(),
            "relay on": lambda rig: rig.power_restore(),
            "servo on": lambda rig: rig.inject("magnet"),
            "servo off": lambda rig: rig.clear("magnet"),
        }
        if self.done[-1] in actions:
            actions[self.done[-1]](self.target.rig)

    def _open(self, address: str, _baud: int) -> BalanceLine:
        rig = self.target.rig
        if address == "/dev/balance":
            return BalanceLine(EmulatedBalance(lambda: rig.weigh().mass_ug).feed)
        return BalanceLine(lambda line: time_answer(rig, line.decode().strip()).encode() + b"\n")

    def _ask(self, question: str) -> bool:
        assert self._answers is not None
        self.questions.append(question)
        return self._answers.pop(0)

    def _wait(self, ms: int) -> None:
        self.waited_ms += ms


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"scale": {}}, "instrument scale: there is no kind 'scale'; write kind = one of .*balance.*uhubctl"),
        ({"power": {"kind": 5}}, "instrument power: there is no kind 5"),
        ({"power": {"on": "x"}}, "instrument power has no off: a command .* is expected"),
        ({"power": {"on": "", "off": "x"}}, "instrument power: on is '', and a command"),
        ({"power": {"on": "a 'b", "off": "x"}}, 'on is "a \'b", and a command'),
        ({"power": ON_OFF | {"settle_ms": -1}}, "settle_ms is -1, and a whole number from 0 on"),
        ({"power": ON_OFF | {"settle_ms": True}}, "settle_ms is True, and a whole number"),
        (
            {"power": ON_OFF | {"delay": 1}},
            "a power takes no delay; it takes on, off, exactness_ms, settle_ms",
        ),
        ({"balance": {}}, "instrument balance has no port: a text is expected"),
        ({"balance": BALANCE | {"baud": 0}}, "baud is 0, and a whole number from 1 on"),
        (
            {"o": {"kind": "http-outlet", "on_url": "ftp://x", "off_url": "x"}},
            "on_url is 'ftp://x', and an address",
        ),
        (
            {"a": ON_OFF | {"kind": "power"}, "b": ON_OFF | {"kind": "power"}},
            "instruments a and b both bring power",
        ),
        (
            {"power": ON_OFF, "u": {"kind": "uhubctl", "location": "1", "port": 1}},
            "power and u both bring power",
        ),
    ],
)
def test_a_wrong_instrument_is_one_sentence_with_its_key(
    tables: Mapping[str, Mapping[str, object]], said: str
) -> None:
    with pytest.raises(BadConfiguration, match=said) as caught:
        declared_instruments("pumpbench.toml", tables)
    assert caught.value.one_line().startswith("configuration: pumpbench.toml: ")


def test_what_instruments_bring_is_what_a_rig_of_them_can() -> None:
    instruments = declared_instruments("x", {"power": ON_OFF, "balance": BALANCE, "time": {"port": "/dev/t"}})
    assert brought_by(instruments) == {
        TargetCapability.POWER,
        TargetCapability.BALANCE,
        TargetCapability.TIME,
    }


@pytest.mark.parametrize(
    ("table", "done"),
    [
        (ON_OFF, ["relay off", "relay on"]),
        (
            {"kind": "uhubctl", "location": "1-1", "port": 2},
            ["uhubctl -l 1-1 -p 2 -a off", "uhubctl -l 1-1 -p 2 -a on"],
        ),
        (
            {"kind": "http-outlet", "on_url": "http://o/1", "off_url": "http://o/0"},
            ["http://o/0", "http://o/1"],
        ),
    ],
)
def test_each_kind_of_power_switch_is_thrown_off_and_on(table: Mapping[str, object], done: list[str]) -> None:
    desk = Desk()
    rig = desk.rig(power={**table, "settle_ms": 700})
    rig.power_cut()
    assert rig.power_restore(off_ms=300)
    assert not rig.power_restore()
    assert desk.done == [*done, done[-1]]
    assert desk.waited_ms == 300 + 700 + 700
    assert rig.exactness() == {"power": "50 ms"}


def test_a_test_leaves_power_on_magnet_away_and_rotor_free_and_is_counted_at_what_it_needed() -> None:
    desk = Desk([True, True])
    rig = desk.rig(power=ON_OFF, magnet={"on": "servo on", "off": "servo off"}, stall={}, balance=BALANCE)
    rig.inject("magnet")
    rig.stall(on=True)
    assert {fault.name: (fault.on, fault.effects) for fault in rig.faults()} == {
        "motor-stall": (True, 1),
        "magnet": (True, 1),
    }
    rig.power_cut()
    rig.end_test()
    assert desk.target.rig.state().powered
    assert desk.done == ["servo on", "relay off", "servo off", "relay on"]
    assert [question.split(",")[0] for question in desk.questions] == [
        "Block the rotor of the pump",
        "Let the rotor of the pump go",
    ]
    rig.weigh()
    rig.end_test()
    assert desk.used == {"magnet": 1, "stall": 1, "power": 1, "balance": 1}


def test_what_cannot_be_put_back_keeps_nothing_else_from_being_put_back() -> None:
    desk = Desk([True, False])
    rig = desk.rig(stall={}, magnet={"on": "servo on", "off": "servo off"}, power=ON_OFF)
    rig.inject("magnet")
    rig.stall(on=True)
    rig.power_cut()
    with pytest.raises(BenchLost, match="nobody did this: Let the rotor"):
        rig.end_test()
    assert desk.done == ["servo on", "relay off", "servo off", "relay on"]
    assert desk.used == {"magnet": 1, "stall": 1, "power": 1}


def test_a_time_line_turns_the_patients_time_and_says_what_cannot_be() -> None:
    desk = Desk()
    rig = desk.rig(time={"port": "/dev/time"}, power=ON_OFF)
    assert rig.advance(5_000) == 5_000 == rig.clock().now_ms
    run = rig.run_until("belief", 86_400_000, field="delivered_total_nl", operator=">=", value=1_000)
    assert run.reached
    assert run.now_ms == desk.target.rig.clock().now_ms > 5_000
    with pytest.raises(UsageError, match="there is no event 'NO_SUCH'"):
        rig.run_until("event", 5, name="NO_SUCH")
    rig.power_cut()
    before_ms = rig.clock().now_ms
    rig.power_restore(off_ms=60_000)
    assert rig.clock().now_ms - before_ms == 60_000


@pytest.mark.parametrize(
    "answer", [b"", b"OK\n", b"OK {}\n", b"OK [1]\n", b"what?\n", b"OK {\xff\n", b"a" * 2_000_000]
)
def test_a_time_line_without_a_fit_board_behind_it_is_one_sentence(answer: bytes) -> None:
    line = BalanceLine(lambda _command: answer)
    access = BenchAccess(lambda *_: None, lambda *_: line, lambda _: None, None, lambda _: None, *UNSEEN)
    rig = ComposedRig("bench:rig1", declared_instruments("x", {"time": {"port": "/dev/t"}}), access)
    with pytest.raises(BenchLost, match=r"/dev/t (answers NOW with|has not answered NOW within)"):
        rig.clock()


def test_a_boards_time_waits_for_all_that_was_sent_to_it() -> None:
    asked: list[bytes] = []

    def answer(line: bytes) -> bytes:
        asked.append(line)
        return b'OK {"now_ms": 5, "reached": false, "events": [], "value": null}\n'

    line = BalanceLine(answer)
    access = BenchAccess(lambda *_: None, lambda *_: line, lambda _: None, None, lambda _: None, *UNSEEN)
    instruments = declared_instruments("x", {"time": {"port": "/dev/t"}})
    rig = ComposedRig("bench:rig1", instruments, access, sent_bytes=lambda: 42)
    rig.advance(5)
    rig.advance(5, after_received=7)
    rig.run_until("event", 5, name="BOOT")
    assert [each.split(b" ")[0] for each in asked] == [b"ADVANCE", b"ADVANCE", b"ADVANCE", b"UNTIL"]
    assert b'"after_received": 42' in asked[0]
    assert b'"after_received": 7' in asked[1]
    assert b'"after_received": 42' in asked[2]


LACKING: dict[str, Callable[[Rig], object]] = {
    "no power switch": lambda rig: rig.power_cut(),
    "no balance": lambda rig: rig.weigh(),
    "no time line": lambda rig: rig.advance(1),
    "no truth": lambda rig: rig.state(),
    "no trace": lambda rig: rig.trace(),
    "no profile": lambda rig: rig.profile(),
    "no syringe": lambda rig: rig.fill(5),
    "no microphone": lambda rig: rig.tones(),
    "no speed": lambda rig: rig.set_speed(5),
    r"no stall \(motor-stall\)": lambda rig: rig.stall(on=True),
    r"no magnet \(magnet\)": lambda rig: rig.inject("magnet"),
    "no fault 'accuracy'": lambda rig: rig.inject("accuracy", accuracy_ppm=5),
}


@pytest.mark.parametrize("said", LACKING)
def test_a_rig_says_which_part_it_lacks(said: str) -> None:
    with pytest.raises(NotOnThisRig, match=f"the rig of bench:rig1 has {said}"):
        LACKING[said](Desk().rig())


def test_a_switch_is_not_exact_to_a_write_nor_thrown_at_a_stroke_and_nobody_waits_for_hours() -> None:
    desk = Desk()
    rig = desk.rig(power=ON_OFF, magnet={"on": "servo on", "off": "servo off"})
    with pytest.raises(NotOnThisRig, match="exact to one write: 50 ms"):
        rig.power_cut(after_writes=2)
    with pytest.raises(NotOnThisRig, match="begins or ends by itself"):
        rig.inject("magnet", for_ms=5)
    assert desk.done == []
    rig.power_cut()
    with pytest.raises(NotOnThisRig, match="would have to wait 3600000 ms"):
        rig.power_restore(off_ms=3_600_000)


@pytest.mark.parametrize(
    ("answers", "said"), [(None, "no person at a terminal"), ([False], "nobody did this: Block")]
)
def test_without_a_person_who_does_it_the_rotor_is_not_called_held(
    answers: list[bool] | None, said: str
) -> None:
    rig = Desk(answers).rig(stall={})
    with pytest.raises(NotOnThisRig, match=said):
        rig.stall(on=True)
    assert [fault.on for fault in rig.faults()] == [False]


def test_a_reset_is_told_the_profile_and_is_needed_by_no_test() -> None:
    desk = Desk()
    rig = desk.rig(reset={"command": "erase --from {profile}", "settle_ms": 40})
    rig.renew("profiles/my pump.toml")
    rig.end_test()
    assert (desk.done, desk.waited_ms, desk.used) == (["erase --from profiles/my pump.toml"], 40, {})


def test_every_kind_says_what_each_of_its_settings_is() -> None:
    for kind in KINDS.values():
        assert kind.meaning
        assert all(setting.meaning for setting in kind.settings)


def test_instruments_reach_a_stand_in_board_over_its_real_ends(tmp_path: Path) -> None:
    with StandInBoard() as board:
        tables = {"power": board.outlet(), "balance": board.balance(), "time": board.time_line()}
        instruments = declared_instruments("pumpbench.toml", tables)
        rig = ComposedRig("bench:rig1", instruments, lab_access(tmp_path))
        before_ug = rig.weigh().mass_ug
        rig.advance(6 * 3_600_000)
        assert abs(rig.weigh().mass_ug - before_ug - board.truth.weigh().mass_ug) <= 100 + before_ug
        rig.power_cut()
        assert not board.truth.state().powered
        rig.close()
        assert board.truth.state().powered


def test_a_stand_in_that_was_made_new_counts_what_arrives_from_then_on() -> None:
    bench = ThreadBench(seed=1)
    with closing(bench), closing(open_port(bench.port.address, "the port")) as line:
        line.send(b"junk")
        bench.rig("POST", "/v1/clock/advance", {"ms": 0, "after_received": 4})
        bench.renew("implanted")
        assert bench.port.received_bytes == 0


OWN_TESTS = """
    import pytest
    from hil.plugin import needs, starts_as

    @needs("power", "balance")
    def test_a_cut(pump_rig, open_programmer):
        pump_rig.weigh()
        pump_rig.power_cut()
        assert pump_rig.power_restore()
        open_programmer().status()

    @needs("power")
    def test_power_is_left_off(pump_rig):
        pump_rig.power_cut()

    @needs("power")
    def test_a_cut_in_a_write(pump, pump_rig):
        pump_rig.power_cut(after_writes=2)

    @needs("truth")
    def test_truth(pump_rig): pass

    @needs("reset")
    @pytest.mark.parametrize("n", range(2))
    def test_each_has_a_new_pump(pump, n):
        assert pump.status().state.name == "RUN"
        pump.stop()

    @starts_as("factory")
    def test_another_pump(open_programmer):
        assert open_programmer().status().state.name != "RUN"
"""


@pytest.mark.timeout(120)
def test_a_run_skips_what_a_rig_lacks_and_says_which_instrument_its_tests_needed(tmp_path: Path) -> None:
    with StandInBoard() as board:
        board.bench_file(tmp_path, outlet=board.outlet(), scale=board.balance(), reset=board.reset(tmp_path))
        run = pytest_on(tmp_path, OWN_TESTS, "--hil-target", "bench:rig1", "-rs")
        assert "5 passed, 2 skipped" in run.stdout, run.stdout + run.stderr
        assert "no power switch that is exact to one write: 50 ms" in run.stdout
        assert "bench:rig1 cannot: truth" in run.stdout
        assert "instrument outlet: needed by 3 tests" in run.stdout
        assert "instrument scale: needed by 1 test" in run.stdout
        assert board.truth.state().powered
