"""What goes over the wire is, byte for byte, what it was: a change of the code alone must not change it.

Three recorded courses, kept as hashes over all bytes received and sent, with their pump time. Where a change is
meant, the hash of the course that it touches is written anew, and the CHANGELOG says why.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from firmware_emu.pump import Pump
from firmware_emu.trace import Step
from firmware_emu.units import MS_PER_MINUTE
from hil.campaign.conversation import SEED, Conversation
from protocol.identifiers import AlarmId
from protocol.messages.reading import GetStatus
from tests.simulation.link_random import Mix, Story
from tests.simulation.scenario import simulated_profile
from tests.simulation.stepping import played
from tests.simulation.test_determinism import PROFILE
from tests.simulation.test_steps import WEEK_END_MS, WEEK_PROFILE, busy_week
from tests.support.soak import rounds_of

if TYPE_CHECKING:
    from hashlib import _Hash

    from firmware_emu.now import Now

MONTH = {
    31: "5d1c49fce06e58daa9bcce3d4c3c256958bf653667aa94094a6688f52aa23743",
    7: "c3767ead4bba015e361287004f360a6617d9e233b6eb41a2094f051e489ec9e3",
}
WEEK = "1abd71d88f6d5252f7ddcc887386b3681f020679a11538156f9aa5cc58992541"
LINK = {
    200: "0e172c8852e9c257d271c70ef380e40b4c19ad6146a179a6725ab59e0a4dbefd",
    60: "3b8b98808ae2ed980a15a217804be3241cbef71be4dbcca89e9e5a2c65a2f502",
}


def recording(digest: _Hash) -> type[Pump]:
    """A pump whose bytes both ways go into a hash."""

    class RecordedPump(Pump):
        __slots__ = ()

        def step(self, now: Now, received: bytes = b"") -> Step:
            step = super().step(now, received)
            if received or step.to_send:
                digest.update(
                    b"%d > %s < %s\n" % (now.pump_ms, received.hex().encode(), step.to_send.hex().encode())
                )
            return step

    return RecordedPump


def test_days_of_status_every_minute_are_the_same_on_the_wire() -> None:
    days = rounds_of("days of status every minute", *MONTH)
    digest = hashlib.sha256()
    talk = Conversation(recording(digest).new(PROFILE, SEED))
    for minute in range(1, days * 24 * 60 + 1):
        talk.wait_until(minute * MS_PER_MINUTE)
        status = talk.granted(GetStatus())
        assert status.delivered_total_nl == minute * 600_000 // 1_440 // 500 * 500
        talk.trace.clear()
        talk.writes.clear()
    assert digest.hexdigest() == MONTH[days]
    low = 1 << AlarmId.LOW_RESERVOIR if days == 31 else 0
    assert (status.t_mono_s, status.alarm_active) == (days * 86_400, low)


def test_a_busy_week_with_stall_and_refill_is_the_same_on_the_wire() -> None:
    digest = hashlib.sha256()
    talk = played(Conversation(recording(digest).new(WEEK_PROFILE, SEED)), busy_week(), WEEK_END_MS)
    talk.log()
    assert digest.hexdigest() == WEEK


def test_stories_of_a_bad_line_are_the_same_on_the_wire() -> None:
    stories = rounds_of("stories of a bad line", *LINK)
    digest = hashlib.sha256()
    for seed in range(stories):
        profile = simulated_profile(log_capacity=2_000)  # as it was recorded
        Story(seed, Mix(), pump_class=recording(digest), profile=profile).play()
    assert digest.hexdigest() == LINK[stories]
