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
    """Drug that has left the path elsewhere, by a leak; of a whole catheter of ours 0."""
    backflow_nl_ppm: int
    """Fluid that went back into the reservoir: what is in it is filled - aspirated - emitted + this."""
    free_flow_nl_ppm: int
    """The part of the emitted that no stroke moved; a dose that nobody asked for."""
    stored_nl_ppm: int
    """Taken up by the path behind an occlusion; leaves the tip at once when that goes."""
    pocket_nl_ppm: int
    """Injected beside the reservoir, into the pocket; it never was in the reservoir, and is in no other sum."""
    pocket_fg_ppm: int
    """Drug of what is in the pocket."""
    reservoir_ng_per_ml: int
    tip_ng_per_ml: int
    accuracy_ppm: int
    """What a stroke moves now of what it should, by rotor and tube alone."""
    accuracy_suspect: bool
    """It stood for 48 h, ran empty or was overfilled, and nobody has measured it since [DOMAIN 3.5, RH-21]."""
    strokes_turned: int
    strokes_missed: int
    """Commanded while the rotor was held."""
    strokes_backward: int
    """Turned the wrong way, commanded or not."""
    edges: int
    """Shown by the sensor: one for each stroke turned, less the lost, and the false ones."""
    stalled: bool
    stalled_until_ms: int | None
    power_cut_armed: bool
    battery_mv: int
    battery_percent: int
    magnet_near: bool
    temperature_millicelsius: int
    """Of the body."""
    pressure_pa: int
    """Around the body."""
    entropy_stuck: bool
    tones_played: int
    last_tone_at_ms: int | None
    """When the last tone began; None where none ever did."""
    last_tone_critical: bool | None
