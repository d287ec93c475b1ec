"""What is physically so at one instant, for a rig to see. It never goes to the controller or on the wire."""

from __future__ import annotations

from typing import NamedTuple


class Truth(NamedTuple):
    """Volumes in nL x 10^-6 (nl_ppm), drug in fg x 10^-6 (fg_ppm), all exact; times are pump time."""

    now_ms: int
    true_nl_ppm: int
    """In the reservoir, the residual volume included."""
    deliverable_nl_ppm: int
    emitted_nl_ppm: int
    filled_nl_ppm: int
    aspirated_nl_ppm: int
    ran_dry_at_ms: int | None
    """When a stroke took the last of the deliverable; None while there is some, or if a syringe took it."""
    dry_nl_ppm: int
    """What strokes of a dry reservoir would have moved: the pump counts it as delivered, and nothing has left."""
    filled_fg_ppm: int
    """Drug that ever came in, that in the path at time 0 included; now in one of the next five places."""
    aspirated_fg_ppm: int
    reservoir_fg_ppm: int
    path_fg_ppm: int
    tip_fg_ppm: int
    """Drug that has left the catheter's tip."""
    lost_fg_ppm: int
    """Drug that has left the path elsewhere; of our own catheter 0."""
    reservoir_ng_per_ml: int
    tip_ng_per_ml: int
    accuracy_ppm: int
    strokes_turned: int
    strokes_missed: int
    """Commanded while the rotor was held."""
    edges: int
    """One for each stroke turned: no fault of the sensor is modelled."""
    stalled: bool
    stalled_until_ms: int | None
    power_cut_armed: bool
    battery_mv: int
    battery_percent: int
    magnet_near: bool
    entropy_stuck: bool
    tones_played: int
    last_tone_at_ms: int | None
    """When the last tone began; None where none ever did."""
    last_tone_critical: bool | None
