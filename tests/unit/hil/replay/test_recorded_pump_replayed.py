"""The sessions of the recorded pump: each plays as its device and as its programmer, and no damaged one in silence."""

from __future__ import annotations

import tomllib
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.address import parse
from hil.cli import main
from hil.errors import BadConfiguration
from hil.replay.at_target import player_at
from hil.replay.conversation import read_conversation
from hil.replay.timing import ORIGINAL
from hil.targets import make_target
from hil.targets.choices import PumpChoice

if TYPE_CHECKING:
    from hil.replay.programmer import Played

SESSIONS = Path(__file__).resolve().parents[4] / "fixtures" / "sessions"
DAMAGED = SESSIONS / "damaged"
NAMES = sorted(path.stem for path in SESSIONS.glob("*.pcapng"))


def played(path: Path, address: str) -> list[Played]:
    """What a session's requests are answered at a device; an emulated one has the recorded seed and serial number."""
    conversation = read_conversation(path)
    choice = PumpChoice(seed=int(conversation.told["seed"]), model={"serial": conversation.told["serial"]})
    with ExitStack() as stack:
        target = stack.enter_context(closing(make_target(parse(address), choice)))
        target.start()
        channel = stack.enter_context(closing(target.open_channel()))
        player = player_at(target, channel, conversation, timing=ORIGINAL, lives_on=False, closing=stack)
        return list(player.play())


@pytest.mark.parametrize("name", NAMES)
def test_its_programmer_hears_from_its_replay_what_it_heard_from_the_pump(name: str) -> None:
    check_replay(SESSIONS / f"{name}.pcapng")


def check_replay(path: Path) -> None:
    """All is the same but for the one thing in which a replay must not be like a pump."""
    found = {unlike for each in played(path, f"replay:{path}") for unlike in each.differing}
    assert {(unlike.place, str(unlike.now)) for unlike in found} == {("GetInfoReply.kind", "REPLAY")}


def test_a_redacted_session_replays_as_it_did(tmp_path: Path) -> None:
    out = tmp_path / "shared.pcapng"
    words = ["redact", str(SESSIONS / "clinic_day.pcapng"), "--out", str(out)]
    done = CliRunner().invoke(main.cli, words)
    assert done.exit_code == 0, done.output
    check_replay(out)


def test_the_pump_that_was_recorded_answers_a_day_in_the_clinic_the_same_again() -> None:
    found = played(SESSIONS / "clinic_day.pcapng", "emulator")
    assert [each.differing for each in found if each.differing] == []


def test_a_damaged_session_is_replayed_only_where_all_of_it_can_be_read() -> None:
    told = tomllib.loads((DAMAGED / "damaged.toml").read_text())
    assert told
    for name, each in told.items():
        path = DAMAGED / f"{name}.pcapng"
        if each["exit_code"] or name == "mixed_sessions":
            with pytest.raises(BadConfiguration, match=name):
                read_conversation(path)
        else:
            assert read_conversation(path).exchanges, name
