"""The sounder: keeps the last tones, counts all, and is cut off by the next tone or with the power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.pins import Tone
from firmware_emu.plant.sounder import TONES_KEPT

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def test_a_plant_that_was_never_heard_has_no_last_tone(plant: Plant) -> None:
    truth = plant.truth(0)
    assert (truth.tones_played, truth.last_tone_at_ms, truth.last_tone_critical) == (0, None, None)


def test_a_tone_is_heard_in_pump_time(plant: Plant) -> None:
    plant.crystal.offset_ms = 500
    plant.pins().sounder.play(Tone(1_500, critical=True, duration_ms=3_000))
    assert plant.sounder.heard == (Tone(1_000, critical=True, duration_ms=3_000),)
    truth = plant.truth(9_000)
    assert (truth.tones_played, truth.last_tone_at_ms, truth.last_tone_critical) == (1, 1_000, True)


def test_the_last_tones_are_kept_and_all_are_counted(plant: Plant) -> None:
    played = [Tone(n * 10_000, critical=n % 2 == 0, duration_ms=1_000) for n in range(3 * TONES_KEPT)]
    for tone in played:
        plant.pins().sounder.play(tone)
    assert plant.sounder.heard == tuple(played[-TONES_KEPT:])
    assert plant.truth(10**9).tones_played == len(played)


def test_a_tone_ends_where_the_next_begins_or_power_goes(plant: Plant) -> None:
    sounder = plant.pins().sounder
    sounder.play(Tone(0, critical=False, duration_ms=1_000))
    sounder.play(Tone(400, critical=True, duration_ms=3_000))
    plant.power_lost(1_000)
    assert [tone.duration_ms for tone in plant.sounder.heard] == [400, 600]
    plant.power_lost(1_200)
    plant.reboot(9_000)
    plant.power_lost(10_000)
    assert [tone.duration_ms for tone in plant.sounder.heard] == [400, 600], "what has ended stays as it was"
