"""A keyword library of Robot Framework over the programmer and the rig: `Library    hil.robot    target=emulator`.

Nothing else of the harness imports it, and it imports nothing of Robot Framework, which finds it by its attributes.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any, ClassVar

from hil.robot.life import WITHOUT_EFFECT, PumpFor, SuiteBench
from hil.robot.programmer_keywords import ProgrammerKeywords
from hil.robot.quantities import CONVERTERS
from hil.robot.rig_keywords import RigKeywords


class PumpLibrary(ProgrammerKeywords, RigKeywords):
    """Tests of an implanted drug pump, emulated or on a bench, by its wire protocol.

    No medical device: the pump is virtual and says so, or stands on a bench.

    | *** Settings ***
    | Library    hil.robot    target=emulator
    |
    | *** Test Cases ***
    | A Bolus Is Delivered Whole
    |     State Should Be    RUN
    |     ${bolus} =    Give Bolus    50 uL    10 min
    |     Let Time Pass    10 min
    |     Command Outcome Should Be    ${bolus}    DONE
    |     Delivered Should Be    50 uL    BOLUS

    = Which pump =

    Each test has a pump of its own: on an emulator a new one, on a board the one that is there. It is started, and its
    session opened, by the first keyword that needs it, and given back when the test ends. ``pump_for=suite`` keeps one
    pump for all tests of a suite, so that its set-up may prepare it.

    Boards are held by a lease while a suite runs, and pass a preflight of a few seconds before its first test.

    = Quantities =

    Each has its unit beside it: ``50 uL``, ``0.05 mL``, ``10 min``, ``1 h 30 min``, ``300 mcg/day``. A number without a
    unit is refused. What a keyword returns shows its unit too, and may be handed to the next keyword.

    = When a keyword fails =

    The message begins with whose fault it is: ``device`` (the pump answered, and the answer is the problem), ``link``,
    ``bench``, ``usage``, ``configuration``, or ``outcome unknown``: nobody knows whether the pump has done it, so look
    before you repeat it. A refusal that a test expects is told by it:

    | Run Keyword And Expect Error | device: * | Give Bolus | 18 mL | 10 min |

    The log of the keyword has the last frames that went over the wire. A bench that is lost, or an address that cannot
    be right, ends the whole run. Where a bench lacks what a keyword needs, the test is skipped, and says what it lacks;
    Robot Framework ends with 0 where all tests were skipped, so read how many passed.

    A test that passes although a fault which it injected took no effect fails in the end, since it would pass on a pump
    that cannot take the fault. The tag ``without-effect:motor-stall`` says that this is its point. With
    ``pump_for=suite`` the last test of the suite fails for faults of all of them, unless it has failed already.
    """

    ROBOT_LIBRARY_SCOPE: ClassVar = "SUITE"
    ROBOT_LIBRARY_VERSION: ClassVar = metadata.version("pumpbench")
    ROBOT_AUTO_KEYWORDS: ClassVar = False
    ROBOT_LIBRARY_CONVERTERS: ClassVar = CONVERTERS
    ROBOT_LISTENER_API_VERSION: ClassVar = 3

    def __init__(
        self,
        target: str | None = None,
        profile: str | None = None,
        seed: int | None = None,
        baud: int | None = None,
        pump_for: PumpFor = PumpFor.TEST,
    ) -> None:
        """Which pump the tests of a suite have. Nothing is opened before a keyword needs it.

        - ``target``: its address, as of ``pumpbench program --target``: ``emulator``, ``emulator:process``, a device
          path, ``usb:VID:PID``, ``bench:NAME``...; without it $PUMPBENCH_TARGET, else ``emulator``.
        - ``profile`` and ``seed``: what an emulated pump is made from.
        - ``baud``: the speed of a device path.
        - ``pump_for``: ``test`` or ``suite``, what has a pump of its own.
        """
        self._suite = SuiteBench(target, profile, seed, baud, pump_for)
        self.ROBOT_LIBRARY_LISTENER = self

    def _start_test(self, data: Any, _result: Any) -> None:
        self._suite.begin_test(data.longname)

    def _end_test(self, data: Any, result: Any) -> None:
        tags = [tag.removeprefix(WITHOUT_EFFECT) for tag in data.tags if tag.startswith(WITHOUT_EFFECT)]
        found = self._suite.end_test(
            passed=result.passed,
            without_effect=frozenset(tags),
            judges_suite=data.parent.tests[-1].id == data.id and not result.failed,
        )
        if found is not None:
            result.status, result.message = "FAIL", str(found)

    def _close(self) -> None:
        self._suite.close()
