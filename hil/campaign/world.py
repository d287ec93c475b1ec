"""What the world does to a pump: time passes, power goes, something breaks; deeds of `Life`."""

from __future__ import annotations

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.life_faults import BY_ROWS, INVISIBLE, ordered, sampled
from hil.campaign.people import People
from protocol.identifiers import AlarmClass, OnExpiry, State, StopReason
from protocol.messages.alarms import AlarmTest
from protocol.messages.ledger import VoidCmd
from protocol.messages.stop import Stop

WAITS_MS = (1, 999, MS_PER_S, 61_003, 10 * MS_PER_MINUTE, MS_PER_HOUR, 7 * MS_PER_HOUR)
QUIET_DAYS = 160


class World(People):
    """The deeds of nobody; a part of `Life`."""

    def wait(self) -> None:
        self.talk.wait(self.random.choice(WAITS_MS))

    def pull_the_plug(self) -> None:
        self.talk.pump.cut_power()
        self.talk.wait(self.random.choice((0, 1, MS_PER_HOUR)))
        self.talk.pump.restore_power()

    def fault(self) -> None:
        """Any fault of the catalogue, in any order."""
        self.inject(self.random.choice(self.faults), orders=True)

    def cure(self) -> None:
        """One fault ends."""
        self.talk.pump.clear(self.random.choice(self.faults))

    def inject(self, name: str, *, orders: bool = False) -> None:
        """Cause a fault of random parameters; the twin is spared those that it could not see."""
        wanted = ordered(self.random, name)
        parameters = wanted.parameters if orders else sampled(self.random, name)
        if self.other_truth and name in INVISIBLE:
            return
        try:
            if orders:
                self.talk.pump.inject(name, parameters, wanted.start, **wanted.timing)
            else:
                self.talk.pump.inject(name, parameters)
        except ValueError:
            pass  # there is no such place in this memory, or the like

    def restart(self) -> None:
        self.talk.pump.cut_power()
        self.talk.pump.restore_power()

    def time(self) -> None:
        belief = self.talk.pump.belief()
        slow = belief is not None and belief.state is State.SAFE_STATE
        self.talk.wait(20 * MS_PER_HOUR if slow else self.random.choice((10 * MS_PER_MINUTE, MS_PER_HOUR)))

    def knock(self) -> None:
        """Somebody opens a session, and the pump draws a number for it."""
        self.leave()
        self.talk.open()

    def write(self) -> None:
        """Something that the pump writes down."""
        self.talk.ask(AlarmTest(AlarmClass.NON_CRITICAL))
        self.talk.ask(VoidCmd(self.fresh_id()))
        self.talk.wait(MS_PER_HOUR)
        self.restart()

    def test_tone(self) -> None:
        self.talk.ask(AlarmTest(self.random.choice(tuple(AlarmClass))))

    def hang(self) -> None:
        self.talk.pump.inject("hung-task", {})
        self.talk.wait(10 * MS_PER_MINUTE)
        self.talk.pump.clear("hung-task")

    def two_days_of_standing(self) -> None:
        self.talk.granted(Stop(self.next_id(), 172_800, StopReason.MRI, OnExpiry.RESUME))
        self.talk.wait(50 * MS_PER_HOUR)

    def cut_soon(self) -> None:
        plant = self.talk.pump.plant
        if self.random.random() < 0.5:
            plant.cut_at_write(self.random.randrange(1, 12), self.random.randrange(0, 40))
        else:
            plant.cut_at_stroke(self.random.randrange(1, 20))

    def quiet_weeks(self) -> None:
        """After a check-up nothing happens for long, but what nobody sees."""
        self.tried(self.check_up, self.random.choice((24_000, 24_000, 24_000, 50_000)))
        self.inject(self.random.choice((*BY_ROWS * 3, *INVISIBLE[:-1])))
        for _ in range(4):
            self.talk.wait(QUIET_DAYS * MS_PER_DAY // 4)
            self.look()
