"""A profile: what kind of pump this is, and what the clinic did to it before time 0. Pure data.

`PumpModel` is the device, `Implant` is what the clinic did at time 0 (absent: a pump as it left the factory),
`PairedKey` a programmer that it knows. Defaults are [DOMAIN 0.5]; the loader of profile files is
`bench/profile_file`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class EmptyPolicy(StrEnum):
    """What the pump does when its calculated reservoir is empty [DOMAIN 3.3]."""

    CONTINUE = "continue"
    MINIMUM_RATE = "minimum_rate"
    STOP = "stop"


class CommitMode(StrEnum):
    """How a program update is written; the second stands still meanwhile, as pumps in the field did [SPEC 15]."""

    ATOMIC = "atomic"
    STOP_WRITE_VERIFY_RESTART = "stop_write_verify_restart"


class ResetPolicy(StrEnum):
    """What a pump that was delivering does after any reset; sources have both [DOMAIN 3.2, SR-70]."""

    OLD_THERAPY = "old_therapy"
    SAFE_STATE = "safe_state"


class TelemetryExit(StrEnum):
    """What ends the telemetry mode into which interference has put the pump; the second is as reported [DOMAIN 3.4]."""

    TIME_OUT = "time_out"
    INTERROGATION = "interrogation"


class RecoveryLog(StrEnum):
    """When the end of a stall is told; the second is as reported from the field [DOMAIN 3.4, RH-09]."""

    AT_ONCE = "at_once"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class PumpModel:
    """One model of pump. Volumes in nL, rates in nL/day, times in s unless the name says otherwise."""

    reservoir_size_nl: int = 20_000_000
    residual_nl: int = 1_400_000
    stroke_nl: int = 500
    accuracy_ppm: int = 1_000_000
    accuracy_per_kelvin_ppm: int = 0
    accuracy_per_atmosphere_ppm: int = 0
    accuracy_per_fill_ppm: int = 0
    tubing_nl: int = 140_000
    catheter_nl: int = 198_000
    tubing_told_excess_nl: int = 0
    catheter_told_excess_nl: int = 0
    """What it was told of them beyond what they hold, until the clinic configures it; negative: too little."""
    catheter_dispersion_ppm: int = 0
    rate_min_nl_per_day: int = 48_000
    rate_max_nl_per_day: int = 24_000_000
    safe_rate_nl_per_day: int = 6_000
    bolus_max_nl: int = 500_000
    hour_max_nl: int = 1_000_000
    day_max_nl: int = 5_000_000
    program_day_max_nl: int = 5_000_000
    min_bolus_gap_s: int = 900
    bolus_max_duration_s: int = 86_400
    max_stop_s: int = 172_800
    low_reservoir_alarm_nl: int = 2_000_000
    critical_interval_s: int = 600
    noncritical_interval_s: int = 3_600
    stall_detect_s: int = 1_200
    stall_recovery_edges: int = 2
    log_capacity: int = 2_000
    empty_policy: EmptyPolicy = EmptyPolicy.MINIMUM_RATE
    commit_mode: CommitMode = CommitMode.ATOMIC
    watchdog_s: int = 90
    ram_test_s: int = 60
    code_test_s: int = 3_600
    telemetry_timeout_s: int = 300
    telemetry_exit: TelemetryExit = TelemetryExit.TIME_OUT
    recovery_log: RecoveryLog = RecoveryLog.AT_ONCE
    service_life_months: int = 84
    eri_to_eos_days: int = 90
    battery_capacity_mah: int = 1_000
    battery_full_mv: int = 3_100
    battery_eri_mv: int = 2_550
    battery_eos_mv: int = 2_400
    battery_reset_mv: int = 2_000
    """Below this voltage at the chip power is taken away: a brown-out."""
    stroke_ma: int = 20
    tone_ma: int = 15
    telemetry_ma: int = 10
    memory_write_ma: int = 5
    processor_ma: int = 2
    """What drops at the resistance of a film; the charge of a stroke is the cell's own figure."""
    tone_nc_per_ms: int = 0
    telemetry_nc_per_byte: int = 0
    """Charge of tones and of what is sent; 0: as good as none."""
    reset_policy: ResetPolicy = ResetPolicy.OLD_THERAPY
    crystal_ppm: int = 0
    """By how many millionths its clock runs too fast; negative: too slow."""
    hello_per_min: int = 10
    hello_per_day: int = 1_000
    gap_ms: int = 1_000
    secured: bool = True
    model_number: int = 0x8637
    hardware_revision: int = 1
    firmware_version: int = 0x0001_0000
    serial: str = "EMU000000001"
    components: tuple[tuple[str, str], ...] = ()
    """Parts of the plant that are not of the usual kind, each with its kind."""


@dataclass(frozen=True, slots=True)
class PairedKey:
    """A paired programmer: its id, role and 128-bit key. Slot in the pump is its place in the profile."""

    key_id: int
    role: int
    key: bytes = field(repr=False)
    development: bool = False


@dataclass(frozen=True, slots=True)
class Implant:
    """What the clinic did at time 0."""

    drug_id: int = 1
    concentration_ng_per_ml: int = 500_000
    dose_ng_per_day: int = 300_000
    filled_nl: int = 18_000_000
    implant_days_ago: int = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """What a pump keeps for people to read, at most 64 bytes each in UTF-8; "" is not said; in wire order."""

    patient_id: str = ""
    notes: str = ""
    drug_name: str = ""
    catheter_model: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything a new pump is made from.

    `wall_at_start_s` counts from 2000-01-01 UTC; None leaves the clock unset. `vendor_messages` names what it
    understands besides the wire's own, each registered.
    """

    name: str = "implanted"
    model: PumpModel = PumpModel()
    keys: tuple[PairedKey, ...] = ()
    card_key: bytes | None = field(default=None, repr=False)
    """The key of the implant card; None where the card of this pump is lost for good."""
    implant: Implant | None = Implant()
    wall_at_start_s: int | None = None
    tz_minutes: int = 0
    vendor_messages: tuple[str, ...] = ()
    texts: Texts = Texts()
