"""Lives at random, from a seed: people who err, every fault of the catalogue, power cuts, and long quiet weeks.

A life is a row of deeds. After each the `Properties` are looked at. All that is random in a deed comes from the seed
and its number in the row, and from nothing that depends on the truth: so a twin with another truth lives the same
life, and a deed is the same whatever was left out before it.
"""

from __future__ import annotations

import copy
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.controller.events import LogWritten, RateStepped
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.profile import EmptyPolicy, Implant
from hil.campaign.bedside import Bedside, Unheard
from hil.campaign.conversation import Conversation, profile_of
from hil.campaign.deed import Deed, Event, chance_of
from hil.campaign.life_marks import mark
from hil.campaign.looks import Looks
from hil.campaign.measuring import Measuring
from hil.campaign.patient_watch import PatientWatch
from hil.campaign.properties import WHOLE, Properties, Watch
from hil.campaign.slips import SLIPS_OF_PEOPLE
from hil.campaign.story import Asked, Story, Thing
from hil.campaign.works import Works

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from firmware_emu.events import TraceEntry
    from firmware_emu.patient.person import Limits

FIRST_OF_PATIENT = 60_000  # no number of the clinician's comes so far
TRIES = 20
DEEDS = (
    *("wait",) * 6,
    *("bolus",) * 4,
    *("fault",) * 8,
    *("cure", "refill", "program", "resume", "schedule", "prime", "bridge") * 2,
    *("boluses_of_a_program", "ask_beside_a_bolus", "silence", "leave", "restart", "check_up") * 2,
    *("ask_for_bolus",) * 4,
    *("stop", "cancel", "set_clock", "void", "pull_the_plug", "cut_soon", "test_tone", "read_log", "hang"),
    *SLIPS_OF_PEOPLE * 2,
)
"""What may come next, each as often as it stands here."""
OF_FAULTS = ("fault", "cure")
FAULT_OF_DEED: Final = {"hang": "hung-task"}
"""Deeds that are one fault of the catalogue: where lives may not have it, they do not come by chance."""


class Play(NamedTuple):
    """What lives are made of, and what must hold in them."""

    deeds: tuple[str, ...] = DEEDS
    faults: tuple[str, ...] = tuple(FAULTS)
    """Those that come by chance, of the catalogue; a pair of fault and procedure has its own."""
    watch: Watch = WHOLE
    patient: Limits | None = None
    """From where on a patient beside the pump would be at risk; None: there is none."""


USUAL = Play()


class Life(Looks, Works):
    """One pump and all that happens to it.

    `other_truth`: a twin in whom nothing differs that the pump can see.
    """

    def __init__(
        self,
        seed: int,
        *,
        other_truth: bool = False,
        cut_into: int = 1,
        faults: bool = True,
        empty_policy: EmptyPolicy | None = None,
        more_deeds: Sequence[str] = (),
        play: Play = USUAL,
        sometimes: Callable[[str, object], None] = lambda _mark, _happened: None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        choose = self.random.choice
        filled_nl = choose((8_000_000, 18_000_000, 20_000_000))
        dose_ng_per_day = choose((24_000, 300_000, 2_000_000))
        accuracy_ppm = choose((855_000, 1_000_000, 1_145_000))
        self.other_truth = other_truth
        profile = profile_of(
            implant=Implant(filled_nl=filled_nl, dose_ng_per_day=dose_ng_per_day),
            wall_at_start_s=826_000_000,
            accuracy_ppm=2_222_222 - accuracy_ppm if other_truth else accuracy_ppm,
            accuracy_per_kelvin_ppm=3_000,
            accuracy_per_atmosphere_ppm=-20_000,
            empty_policy=choose(tuple(EmptyPolicy)) if empty_policy is None else empty_policy,
            service_life_months=840,
            battery_capacity_mah=40_000,
        )
        talk = Conversation.with_new_pump(profile, seed.to_bytes(4, "big"))
        self.talk = Bedside(talk.pump)
        self.talk.pump.leave_frames_out()
        self.talk.cut_into = cut_into
        self.deeds = play.deeds if faults else tuple(deed for deed in play.deeds if deed not in OF_FAULTS)
        self.faults = play.faults
        self.note_mark = sometimes
        """Is told each mark that this life reaches."""
        self.deeds += (*more_deeds,) * 20
        if play.patient is not None:
            self.talk.patient = PatientWatch(talk.pump, seed, play.patient)
        self.measuring = Measuring(self.talk)
        self.measured = self.measuring.measured
        self.properties = Properties(talk.pump, play.watch, self.measuring.commanded)
        self.cmd_id = 0
        self.patients_cmd_id = FIRST_OF_PATIENT
        self.seen = 0
        self.pairs: set[tuple[str, str]] = set()
        self.boluses: list[int] = []
        self.given, self.drew = {}, {}
        self.numbered = 0
        """The number of the last deed of the row, so far."""
        self.done: list[Deed] = []
        """All that was done so far, in its order."""
        self.drawn_in: list[dict[str, Any]] = []
        """What was drawn by name in each of them."""
        self._story = Story()
        self.talk.told = self.talk.handset.told = self._asked

    def fork(self) -> Life:
        """This life with a future of its own, its people and their sessions too; between two deeds.

        What has happened so far is shared, since it cannot change, and so is who is told of marks.
        """
        pump = self.talk.pump
        self.properties.leave_rotor()
        try:
            forked = pump.fork()
        finally:
            self.properties.guard_rotor()
        known: dict[int, object] = {id(pump): forked, id(self.note_mark): self.note_mark}
        for happened in (
            self.talk.trace,
            self.talk.handset.trace,
            self.talk.replies,
            self.done,
            self.drawn_in,
        ):
            known[id(happened)] = [*happened]
        known[id(self._story)] = self._story.fork()
        for same in (self.deeds, self.faults, self.random):
            known[id(same)] = same  # of the chance that was, nothing is drawn any more
        life = copy.deepcopy(self, known)
        life.properties.guard_rotor()
        return life

    def sometimes(self, mark: str, happened: object = True) -> None:
        """Note that this life has reached a mark, if it did."""
        if happened:
            self.note_mark(mark, happened)

    # The row of deeds

    def deed_of(self, number: int) -> Deed:
        """What comes by chance at this place of the row."""
        return Deed(number, chance_of(self.seed, number, "choice").choice(self.deeds))

    def row(self, steps: int, pairs: Sequence[tuple[str, str]] = (), quiet: int = 0) -> Iterator[Deed]:
        """What comes next: the pairs, quiet months, then anything.

        Each pair has as many places in the row as it may be tried; those that are not needed are left out.
        """
        number = self.numbered
        for fault, work in pairs:
            for each in range(number + 1, number + TRIES + 1):
                if (fault, work) not in self.pairs:
                    yield Deed(each, "pair", (("fault", fault), ("work", work)))
            number += TRIES
        for _ in range(quiet):
            number += 1
            yield Deed(number, "quiet_weeks")
        for _ in range(steps):
            number += 1
            yield self.deed_of(number)
        self.numbered = number

    def live(self, steps: int, pairs: Sequence[tuple[str, str]] = (), quiet: int = 0) -> Life:
        """Do what comes next, deed by deed."""
        for deed in self.row(steps, pairs, quiet):
            self.do(deed)
        return self

    def do(self, deed: Deed) -> None:
        """Do this deed, then see that what must hold does so; Broken where it does not."""
        self.random = chance_of(self.seed, deed.number)
        self.given = dict(deed.arguments)
        self.drew = {}
        self.done.append(deed)
        self.drawn_in.append(self.drew)
        self.tried(getattr(self, deed.name))
        self.look()

    def tell(self, thing: Thing) -> None:
        """Keep for the story what is being done."""
        self._story.add(self.talk.now_ms, self.done[-1].number if self.done else 0, thing)

    def _asked(self, message: object, answer: object) -> None:
        self.tell(Asked(message, answer))

    @property
    def story(self) -> tuple[Event, ...]:
        """All that was done so far, in words."""
        return self._story.events()

    def look(self) -> None:
        """See that what must hold does so now; Broken where it does not."""
        self.talk.wait(0)
        happened = self.talk.trace[self.seen :]
        self.seen = len(self.talk.trace)
        self.measuring.look()
        self.properties.look(happened, self.talk.staged)
        if self.talk.pump.belief() is not None:  # one without power is not asked what it runs
            self.talk.staged.clear()
        self.note(happened)

    def note(self, happened: Sequence[TraceEntry]) -> None:
        """Marks of what was reached."""
        events = [entry.event for entry in happened]
        self.sometimes("a step of a schedule", any(isinstance(event, RateStepped) for event in events))
        for event in events:
            if isinstance(event, LogWritten):
                mark(event, self.sometimes)
        try:
            self.look_at_the_dates()
        except Unheard:
            self.sometimes("a pump that gave no answer")
        self.look_at_the_schedule()
