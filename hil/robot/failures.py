"""What makes a method a keyword, and what its errors are to Robot Framework: a failure, a skip, or the end of the run.

Robot Framework asks for attributes of functions and exceptions, so that nothing of it is imported here.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from hil.errors import BenchLost, NotOnThisRig, PumpbenchError, loss_behind

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger("hil.robot")
"""Robot Framework puts what is logged into its own log, under the keyword that runs."""

Method = TypeVar("Method", bound="Callable[..., Any]")


class Failure(AssertionError):
    """A keyword failed: the sentence says whose fault it is and what to do."""

    ROBOT_SUPPRESS_NAME: ClassVar = True


class RunIsOver(Failure):
    """The bench is lost, or nothing of it can be right: one fault, and not that of each test that follows."""

    ROBOT_EXIT_ON_FAILURE: ClassVar = True


class Skipped(Failure):
    """This bench lacks what the test needs."""

    ROBOT_SKIP_EXECUTION: ClassVar = True


class KeywordLibrary(ABC):
    """What a keyword needs of its library."""

    @abstractmethod
    def _last_frames(self) -> str:
        """The last frames on the wire; empty where nothing was said."""


def keyword(method: Method) -> Method:
    """Make a method of a library a keyword: its errors are told in one sentence, with the last frames in the log."""

    @wraps(method)
    def told(self: KeywordLibrary, *arguments: Any, **named: Any) -> Any:
        try:
            return method(self, *arguments, **named)
        except NotOnThisRig as error:
            raise Skipped(error.one_line()) from None
        except Skipped:
            raise
        except (Failure, PumpbenchError) as error:
            frames = self._last_frames()
            if frames:
                LOG.info("The last frames on the wire:\n%s", frames)
            raise failure_of(error) from None

    told.robot_name = None  # type: ignore[attr-defined] # what Robot Framework knows a keyword by
    return cast("Method", told)


def failure_of(error: Exception) -> Failure:
    """What an error is to Robot Framework."""
    if isinstance(error, Failure):
        return error
    sentence = error.one_line() if isinstance(error, PumpbenchError) else str(error)
    return RunIsOver(sentence) if isinstance(loss_behind(error), BenchLost) else Failure(sentence)
