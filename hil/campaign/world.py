"""What the world does to a pump: time passes, power goes, something breaks; deeds of `Life`."""

from __future__ import annotations

from firmware_emu.faults.orders import NOW
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.life_faults import BY_ROWS, INVISIBLE, PROVOKED, ordered, sampled
from hil.campaign.people import People
from hil.campaign.story import Caused
from protocol.identifiers import AlarmClass, OnExpiry, State, StopReason
from protocol.messages.alarms import AlarmTest
from protocol.messages.ledger import VoidCmd
from protocol.messages.stop import Stop

WAITS_MS = (1, 999, MS_PER_S, 61_003, 10 * MS_PER_MINUTE, MS_PER_HOUR, 7 * MS_PER_HOUR)
QUIET_DAYS = 160
AT_ONCE = "at-once"
START_WORDS = (AT_ONCE, "later")
"""Whether a fault starts when it is caused, or waits for something."""
TIMING = {"for_ms": None, "times": 1, "every_ms": None}
"""How long a fault lasts and how often it comes, where nothing is said of it."""


class World(People):
    """The deeds of nobody; a part of `Life`."""

    def wait(self) -> None:
        self.passes(*WAITS_MS)

    def pull_the_plug(self) -> None:
        self.tell("power goes")
        self.talk.pump.cut_power()
        self.passes(0, 1, MS_PER_HOUR)
        self.tell("power comes back")
        self.talk.pump.restore_power()

    def fault(self) -> None:
        """Any fault of the catalogue, in any order."""
        self.inject(self.random.choice(self.faults), orders=True)

    def cure(self) -> None:
        """One fault ends."""
        name = self.drawn("fault", self.random.choice(self.faults))
        self.tell(f"fault {name} ends")
        self.talk.pump.clear(name)

    def inject(self, by_chance: str | None, *, orders: bool = False) -> None:
        """Cause a fault of random parameters; the twin is spared those that it could not see.

        `by_chance`: which, where the deed does not say it; None: it does.
        """
        name = self.drawn("fault", by_chance)
        wanted = ordered(self.random, name)
        by_chance_too = wanted.parameters if orders else sampled(self.random, name)
        parameters = {key: self.drawn(key, by_chance_too.get(key)) for key in PROVOKED[name].values}
        parameters = {key: value for key, value in parameters.items() if value is not None}
        start, timing = NOW, {}
        if orders:
            at_once = self.drawn("start", START_WORDS[wanted.start != NOW]) == AT_ONCE
            start = NOW if at_once else wanted.start
            timing = {key: self.drawn(key, wanted.timing.get(key, usual)) for key, usual in TIMING.items()}
        if self.other_truth and name in INVISIBLE:
            return
        try:
            self.talk.pump.inject(name, parameters, start, **timing)
        except ValueError:
            return  # there is no such place in this memory, or the like
        self.tell(Caused(name, parameters, start, **timing))

    def restart(self) -> None:
        self.tell("power off and on")
        self.talk.pump.cut_power()
        self.talk.pump.restore_power()

    def time(self) -> None:
        belief = self.talk.pump.belief()
        slow = belief is not None and belief.state is State.SAFE_STATE
        self.passes(*((20 * MS_PER_HOUR,) if slow else (10 * MS_PER_MINUTE, MS_PER_HOUR)))

    def knock(self) -> None:
        """Somebody opens a session, and the pump draws a number for it."""
        self.leave()
        self.talk.open()

    def write(self) -> None:
        """Something that the pump writes down."""
        self.talk.ask(AlarmTest(AlarmClass.NON_CRITICAL))
        self.talk.ask(VoidCmd(self.fresh_id()))
        self.passes(MS_PER_HOUR)
        self.restart()

    def test_tone(self) -> None:
        self.talk.ask(AlarmTest(self.random.choice(tuple(AlarmClass))))

    def hang(self) -> None:
        self.tell(Caused("hung-task", {}, for_ms=10 * MS_PER_MINUTE))
        self.talk.pump.inject("hung-task", {})
        self.talk.wait(10 * MS_PER_MINUTE)
        self.talk.pump.clear("hung-task")

    def two_days_of_standing(self) -> None:
        self.talk.granted(Stop(self.next_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
        self.passes(50 * MS_PER_HOUR)

    def cut_soon(self) -> None:
        if self.random.random() < 0.5:
            self.power_goes_at_write(self.random.randrange(1, 12), self.random.randrange(0, 40))
        else:
            strokes = self.random.randrange(1, 20)
            self.tell(f"power is to go with stroke {strokes} from now")
            self.talk.pump.plant.cut_at_stroke(strokes)

    def quiet_weeks(self) -> None:
        """After a check-up nothing happens for long, but what nobody sees, where lives may have such a fault."""
        dose = self.drawn("dose_ng_per_day", self.random.choice((24_000, 24_000, 24_000, 50_000)))
        self.tried(self.check_up, dose)
        unseen = [name for name in (*BY_ROWS * 3, *INVISIBLE[:-1]) if name in self.faults]
        by_chance = self.random.choice(unseen) if unseen else None
        if self.given.get("fault", by_chance) is not None:
            self.inject(by_chance)
        days = self.drawn("quiet_days", QUIET_DAYS)
        self.tell(f"nothing for {days} days")
        for _ in range(4):
            self.talk.wait(days * MS_PER_DAY // 4)
            self.look()
