"""A deed, of which a life is a row, and what deeds need of the life that they are of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from hil.campaign.bedside import Unheard
from hil.quantity_words import exact_duration_of_ms
from protocol.messages.errors import ErrorReply
from protocol.messages.reading import GetStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.campaign.bedside import Bedside
    from hil.campaign.properties import Properties
    from hil.campaign.story import Thing

Argument = tuple[str, Any]


class Deed(NamedTuple):
    """Something that somebody, or the world, does to a pump; what it does not say is by chance."""

    number: int
    """Of the row; the chance in the deed is that of the life's seed and of this, and of nothing before it."""
    name: str
    """Of the method of `Life`."""
    arguments: tuple[Argument, ...] = ()
    """What is not left to chance, by the name that the deed has for it."""


class Event(NamedTuple):
    """Something that was done in a life."""

    at_ms: int
    """Of the pump, when it began."""
    deed: str
    """What was done, in words."""
    number: int = 0
    """That of the deed which it is of; 0: of none."""


def chance_of(seed: int, number: int, what: str = "deed") -> Random:
    """The chance of one deed of a life: the same whatever came before it."""
    return Random(f"{what} {number} of life {seed}")


class Doing(ABC):
    """What deeds need of the life that they are of."""

    random: Random
    """That of the deed that is being done."""
    talk: Bedside
    properties: Properties
    other_truth: bool
    faults: tuple[str, ...]
    boluses: list[int]
    """The numbers of the boluses that were given."""
    cmd_id: int
    patients_cmd_id: int
    pairs: set[tuple[str, str]]
    given: dict[str, Any]
    """What is not left to chance in the deed that is being done."""
    drew: dict[str, Any]
    """What was given or drawn in it, as far as it has a name."""

    @abstractmethod
    def sometimes(self, mark: str, happened: object = True) -> None:
        """Note that a life has reached this."""

    @abstractmethod
    def look(self) -> None:
        """See that what must hold does so now; Broken where it does not."""

    @abstractmethod
    def tell(self, thing: Thing) -> None:
        """Keep for the story what is being done."""

    def drawn(self, name: str, by_chance: Any) -> Any:
        """What the deed says of this; else what chance has."""
        value = self.drew[name] = self.given.get(name, by_chance)
        return value

    def passes(self, *choices_ms: int) -> None:
        """Time passes: as long as the deed says, else one of these by chance."""
        wait_ms = self.drawn("wait_ms", self.random.choice(choices_ms))
        if wait_ms:
            self.tell(f"nothing for {exact_duration_of_ms(wait_ms)}")
        self.talk.wait(wait_ms)

    def tried(self, deed: Callable[..., Any], *args: object) -> None:
        """Do it; where the pump does not answer, that was all."""
        try:
            deed(*args)
        except Unheard as unheard:
            if not isinstance(unheard.args[0], ErrorReply):
                self.tell(f"{deed.__name__.replace('_', ' ')}: the pump gives no answer")
            self.sometimes("a pump that gave no answer")

    def status(self) -> Any:
        """What the pump says of itself."""
        return self.talk.granted(GetStatus())

    def next_id(self) -> int:
        """A number for a command that was not used; now and then one that was."""
        again, among = self.random.random() < 0.04, self.random.random()
        by = self.random.choice((1, 1, 1, 40))
        if self.cmd_id and again:
            self.sometimes("a number used again")
            return 1 + int(among * self.cmd_id)
        self.cmd_id += by
        return self.cmd_id

    def fresh_id(self) -> int:
        """A number for a command that was not used."""
        self.cmd_id += 1
        return self.cmd_id
