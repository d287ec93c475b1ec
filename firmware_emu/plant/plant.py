"""The plant: all that is physically so in one pump, assembled. It believes nothing and decides nothing.

The controller gets `pins()`; the rig gets the verbs and `truth()`. Verbs act between two steps of the pump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from firmware_emu.pins import Load, Pins, PowerCut
from firmware_emu.plant.component import Component, Json, StateError, section
from firmware_emu.plant.components import DEFAULT_KINDS, PARTS, Given, component_named
from firmware_emu.plant.fault_records import CutAtStroke, CutAtWrite, Field, Stall
from firmware_emu.plant.flash import DEFAULT_SIZE_BYTES
from firmware_emu.plant.truth import Truth
from firmware_emu.units import MS_PER_DAY, PPM

if TYPE_CHECKING:
    from firmware_emu.plant.battery import Battery, Short
    from firmware_emu.plant.body import Body
    from firmware_emu.plant.catheter import Catheter
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.entropy import Entropy
    from firmware_emu.plant.flash import Flash
    from firmware_emu.plant.processor import Processor
    from firmware_emu.plant.receiver import Receiver
    from firmware_emu.plant.reservoir import Reservoir
    from firmware_emu.plant.rotor import Rotor
    from firmware_emu.plant.sounder import Sounder
    from firmware_emu.profile import Implant, PumpModel

SCHEMA = 4
PERCENT_MAX = 100


class Plant(Component):
    """One pump's hardware and what surrounds it."""

    __slots__ = (*PARTS, "kinds")

    catheter: Catheter
    crystal: Crystal
    reservoir: Reservoir
    rotor: Rotor
    battery: Battery
    flash: Flash
    entropy: Entropy
    body: Body
    sounder: Sounder
    processor: Processor
    receiver: Receiver

    def __init__(
        self,
        model: PumpModel,
        seed: bytes,
        *,
        implant: Implant | None = None,
        memory_bytes: int = DEFAULT_SIZE_BYTES,
        unit: bytes = b"",
    ) -> None:
        """A new pump with erased memory. Without an implant its reservoir is empty, its path holds water.

        `unit` tells apart the pumps of one seed, see `Entropy`.
        """
        given = Given(model, implant, seed, unit, memory_bytes)
        self.kinds = DEFAULT_KINDS | dict(model.components)
        for part in PARTS:
            setattr(self, part, component_named(part, self.kinds[part]).make(self, given))
        if implant is not None:
            self.reservoir.fill(implant.filled_nl, implant.concentration_ng_per_ml)
            days = implant.implant_days_ago
            strokes = (
                days * implant.dose_ng_per_day * PPM // (implant.concentration_ng_per_ml * model.stroke_nl)
            )
            self.battery.use_before(days * MS_PER_DAY, strokes)

    def pins(self) -> Pins:
        """All that the controller may touch."""
        return Pins(
            self.rotor,
            self.flash,
            self.entropy,
            self.battery,
            self.crystal,
            self.body,
            self.sounder,
            self.processor,
            self.receiver,
        )

    # Time and power

    def power_lost(self, now_ms: int) -> None:
        """Power is gone at `now_ms`; nothing more is lost while it is off."""
        self.rotor.settle_row()
        if self.battery.off_since_ms is None:
            self.crystal.stop(now_ms)
            self.battery.disconnect(now_ms)
            self.sounder.stop(now_ms)
            self.processor.lose_ram()

    def reset_by_watchdog(self, now_ms: int) -> None:
        """The watchdog throws the program away at `now_ms`; all but RAM goes on as after a loss of power."""
        self.crystal.stop(now_ms)
        self.sounder.stop(now_ms)
        self.processor.bite()

    def reboot(self, now_ms: int) -> None:
        """Power is back at `now_ms`; the controller is about to boot."""
        self.rotor.settle_row()
        self.crystal.start(now_ms)
        self.battery.connect(now_ms)
        self.entropy.reboot()
        self.processor.start()
        self.receiver.untold = self.receiver.disturbed

    def next_event_ms(self) -> int | None:
        """Pump time of the next change that the plant makes by itself; no run of strokes should span it."""
        rotor, battery, processor = self.rotor, self.battery, self.processor
        standing_until_ms, awake_until_ms = self.crystal.standing_until_ms, self.receiver.until_ms
        free = rotor.stall is None and rotor.field is None
        running = standing_until_ms is None and awake_until_ms is None
        if free and running and processor.healthy and not battery.is_faulty:
            return None  # the usual case
        changes = [each.until_ms for each in (rotor.stall, rotor.field) if each is not None]
        changes += [standing_until_ms, awake_until_ms, battery.next_event_ms(), processor.next_event_ms()]
        return min((at_ms for at_ms in changes if at_ms is not None), default=None)

    @property
    def strokes_matter(self) -> bool:
        """True while the rotor may do other than turn at each stroke: then each should be a step of its own."""
        rotor, film = self.rotor, self.battery.film
        held = rotor.stall is not None or rotor.cut is not None
        return held or rotor.edges_vary or film is not None or self.processor.disturbed

    @property
    def is_quiet(self) -> bool:
        """True while no fault can make a stroke or a write to the memory matter: many may be done in one go."""
        sound = self.flash.cut is None and not self.flash.worn and not self.battery.is_faulty
        return sound and self.processor.healthy and self.receiver.until_ms is None and not self.strokes_matter

    def advance_to(self, now_ms: int) -> None:
        """Make the changes that are due; strokes due at the same instant come before them. Raises PowerCut."""
        rotor = self.rotor
        if rotor.stall is not None and rotor.stall.until_ms is not None and rotor.stall.until_ms <= now_ms:
            rotor.stall = None
        if rotor.field is not None and rotor.field.until_ms <= now_ms:
            rotor.field = None
            rotor.look()
        standing_until_ms = self.crystal.standing_until_ms
        if standing_until_ms is not None and standing_until_ms <= now_ms:
            self.crystal.go_on(now_ms)
        if self.receiver.until_ms is not None and self.receiver.until_ms <= now_ms:
            self.receiver.end()
        short = self.battery.short
        if short is not None and short.next_ms <= now_ms:
            self._short_circuit(short, now_ms)

    def _short_circuit(self, short: Short, now_ms: int) -> None:
        """Let the feedthrough short: by turns a stall of the motor, and a reset, which needs power to be one."""
        rotor, battery = self.rotor, self.battery
        later = short._replace(next_ms=now_ms + short.period_ms, stalls_next=not short.stalls_next)
        if short.stalls_next:
            battery.set_short(later._replace(missed_before=rotor.strokes_missed))
            if rotor.stall is None:
                rotor.stall = Stall(now_ms, now_ms + short.stall_ms)
            return
        battery.set_short(later)
        battery.shorts += rotor.strokes_missed > short.missed_before
        if battery.off_since_ms is None:
            battery.shorts += 1
            raise PowerCut(load=Load.SHORT)

    def flow_until(self, now_ms: int) -> None:
        """Move the fluid that flows by itself; strokes due by now were turned before."""
        self.reservoir.flow_until(now_ms)

    def feel_surroundings(self) -> None:
        """Let temperature and pressure of the body act on what a stroke moves."""
        body, rotor = self.body, self.rotor
        rotor.warmth_ppm = rotor.flow_model.warmth_ppm(body.temperature_millicelsius)
        rotor.pressure_ppm = rotor.flow_model.pressure_ppm(body.pressure_pa)
        rotor.look()

    # Verbs of the rig

    def aspirate(self, nl: int | None = None) -> int:
        """Take fluid out of the reservoir, all of it if None; returns whole nL taken."""
        return self.reservoir.aspirate(nl)

    def fill(self, nl: int, concentration_ng_per_ml: int) -> None:
        """Put fluid into the reservoir. ValueError where it would burst."""
        self.reservoir.fill(nl, concentration_ng_per_ml)

    def set_stall(self, on: bool, now_ms: int, until_ms: int | None = None) -> None:  # noqa: FBT001
        """Hold the rotor, for good or up to and including `until_ms`, or release it."""
        if on and until_ms is not None and until_ms < now_ms:
            raise ValueError(f"a stall from {now_ms} cannot end at {until_ms}")
        self.rotor.stall = Stall(now_ms, until_ms) if on else None

    def set_accuracy(self, accuracy_ppm: int) -> None:
        """Change what each further stroke really moves."""
        self.rotor.set_accuracy(accuracy_ppm)

    def set_magnet(self, near: bool) -> None:  # noqa: FBT001
        """Hold a magnet over the pump, or take it away."""
        self.body.magnet_near = near

    def set_entropy_stuck(self, stuck: bool) -> None:  # noqa: FBT001
        """Let the random source answer zeros, or heal it."""
        self.entropy.stuck = stuck

    def set_clock_drift(self, now_ms: int, drift_ppm: int) -> None:
        """Let the oscillator run by so many millionths too fast from now on."""
        self.crystal.set_drift(now_ms, drift_ppm, self.rotor.strokes_turned)

    def cut_at_write(self, n: int, torn_after_bytes: int = 0, *, stays_off: bool = False) -> None:
        """Arm: power goes in the n-th memory write from now, of which so many bytes land. Fires once."""
        if n < 1 or torn_after_bytes < 0:
            raise ValueError(f"cannot cut power at write {n} after {torn_after_bytes} bytes")
        self.flash.cut = CutAtWrite(n, torn_after_bytes, stays_off)

    def cut_at_stroke(self, n: int, *, stays_off: bool = False) -> None:
        """Arm: power goes as the n-th stroke from now is due; it is not turned. Fires once."""
        if n < 1:
            raise ValueError(f"cannot cut power at stroke {n}")
        self.rotor.cut = CutAtStroke(n, stays_off)

    def disarm(self) -> None:
        """Forget power cuts that have not fired."""
        self.flash.cut = None
        self.rotor.cut = None

    # What is so

    def truth(self, now_ms: int) -> Truth:
        """What is physically so at `now_ms`."""
        self.flow_until(now_ms)
        reservoir, catheter, rotor = self.reservoir, self.catheter, self.rotor
        stall, field = rotor.stall, rotor.field
        last_tone = self.sounder.heard[-1] if self.sounder.heard else None
        tick_ms = self.crystal.tick_of(now_ms)
        emitted = reservoir.emitted_nl_ppm
        at_tip = catheter.tip_fg_ppm(emitted)
        lost = catheter.lost_fg_ppm(emitted)
        return Truth(
            now_ms=now_ms,
            true_nl_ppm=reservoir.volume_nl_ppm,
            deliverable_nl_ppm=reservoir.deliverable_nl_ppm,
            emitted_nl_ppm=emitted,
            filled_nl_ppm=reservoir.filled_nl_ppm,
            aspirated_nl_ppm=reservoir.aspirated_nl_ppm,
            ran_dry_at_ms=reservoir.ran_dry_at_ms,
            dry_nl_ppm=rotor.dry_nl_ppm,
            filled_fg_ppm=reservoir.filled_fg_ppm,
            aspirated_fg_ppm=reservoir.aspirated_fg_ppm,
            reservoir_fg_ppm=reservoir.drug_fg_ppm,
            path_fg_ppm=catheter.drug_passed_fg_ppm(emitted) - at_tip - lost,
            tip_fg_ppm=at_tip,
            lost_fg_ppm=lost,
            backflow_nl_ppm=reservoir.backflow_nl_ppm,
            free_flow_nl_ppm=reservoir.free_flow_nl_ppm,
            stored_nl_ppm=catheter.stored_nl_ppm(emitted),
            pocket_nl_ppm=reservoir.pocket_nl_ppm,
            pocket_fg_ppm=reservoir.pocket_fg_ppm,
            reservoir_ng_per_ml=catheter.concentration_ng_per_ml(emitted),
            tip_ng_per_ml=catheter.tip_ng_per_ml(emitted),
            accuracy_ppm=rotor.accuracy_at_ppm(now_ms),
            accuracy_suspect=rotor.is_dented(now_ms) or reservoir.ran_empty or reservoir.overfilled,
            strokes_turned=rotor.strokes_turned,
            strokes_missed=rotor.strokes_missed,
            strokes_backward=rotor.strokes_backward,
            edges=rotor.edges,
            stalled=stall is not None or field is not None,
            stalled_until_ms=_until_ms(stall, field),
            power_cut_armed=rotor.cut is not None or self.flash.cut is not None,
            battery_mv=self.battery.cell_mv(tick_ms),
            battery_percent=self.battery.percent(tick_ms),
            magnet_near=self.body.magnet_near,
            temperature_millicelsius=self.body.temperature_millicelsius,
            pressure_pa=self.body.pressure_pa,
            entropy_stuck=self.entropy.stuck,
            tones_played=self.sounder.played,
            last_tone_at_ms=None if last_tone is None else last_tone.at_ms,
            last_tone_critical=None if last_tone is None else last_tone.critical,
        )

    def to_json(self) -> Json:
        """Everything but the pages of the memory, as plain JSON values."""
        others = {part: kind for part, kind in self.kinds.items() if kind != DEFAULT_KINDS[part]}
        return {"schema": SCHEMA, "kinds": others, **{name: getattr(self, name).to_json() for name in PARTS}}

    def from_json(self, state: Json) -> None:
        """Take over a state that `to_json` gave; the memory stays as it is. StateError names a bad field."""
        if state.get("schema") != SCHEMA:
            raise StateError(f"plant state: schema must be {SCHEMA}, is {state.get('schema')!r}")
        kinds = DEFAULT_KINDS | section(state, "kinds")
        for name in PARTS:
            if kinds[name] != self.kinds[name]:
                raise StateError(
                    f"plant state: the {name} is {kinds[name]}, and {self.kinds[name]} in the profile"
                )
            try:
                getattr(self, name).from_json(section(state, name))
            except StateError as error:
                raise StateError(f"plant state, {name}: {error}") from error
        self.feel_surroundings()

    def check(self, now_ms: int) -> None:
        """StateError where parts from file, each possible by itself, make a truth that cannot be so at `now_ms`."""
        truth = self.truth(now_ms)
        signed = ("temperature_millicelsius",)
        values = truth._asdict().items()
        wrong = [name for name, value in values if value is not None and value < 0 and name not in signed]
        if truth.battery_percent > PERCENT_MAX:
            wrong.append("battery_percent")
        if wrong:
            raise StateError(f"plant state: {wrong[0]} of the truth would be {getattr(truth, wrong[0])}")

    @classmethod
    def restored(cls, model: PumpModel, state: Json, memory_bytes: int = DEFAULT_SIZE_BYTES) -> Self:
        """A plant of this model in a state from file, its memory erased."""
        plant = cls(model, b"", memory_bytes=memory_bytes)
        plant.from_json(state)
        return plant


def _until_ms(stall: Stall | None, field: Field | None) -> int | None:
    """When the last of what holds the rotor lets go; None where nothing does, or one never will."""
    if stall is None or stall.until_ms is None:
        return None if field is None or stall is not None else field.until_ms
    return stall.until_ms if field is None else max(stall.until_ms, field.until_ms)
