"""What can go wrong at the host's side, and whose fault it is: the person's, the device's, the link's or the bench's.

Every error is one sentence for a person, with what to do, and the exit code that the command line ends with.
Nothing here talks to anything; refusals of the pump carry its own ERR.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from protocol.identifiers import Opcode, Outcome
    from protocol.messages.errors import ErrorReply


def in_one_line(text: str) -> str:
    """The text with a backslash and the code of each character that would begin a line or move a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode-escape").decode("ascii") for c in text)


class ExitCode(IntEnum):
    """Exit codes of `pumpbench`. 0 to 6 mean what pytest says, 2 is also click's usage; ours are never reused."""

    OK = 0
    TESTS_FAILED = 1
    USAGE = 2
    TEST_PROGRAM = 3
    TEST_USAGE = 4
    NO_TESTS = 5
    TOO_MANY_WARNINGS = 6
    BENCH_LOST = 7
    DEVICE_REFUSED = 8
    OUTCOME_UNKNOWN = 9
    BAD_CONFIGURATION = 10
    TAKEN = 11
    ANSWER_NOT_WRITTEN = 12
    DECLINED = 13
    LEFT_STOPPED = 14
    DIFFERENT = 15
    INTERRUPTED = 130


EXIT_CODE_WORDS = {
    ExitCode.OK: "what was asked for was done; of a run: every test that ran passed, and at least one ran",
    ExitCode.TESTS_FAILED: "hil run: a test failed; campaign: an invariant does not hold in a life",
    ExitCode.USAGE: "the command line, or a call of the library, asks for what there is not; of a run: interrupted, "
    "or not every test ran",
    ExitCode.TEST_PROGRAM: "hil run: pytest itself failed",
    ExitCode.TEST_USAGE: "hil run: pytest does not take what stands after --",
    ExitCode.NO_TESTS: "hil run: no test was executed",
    ExitCode.TOO_MANY_WARNINGS: "hil run: all passed, with more warnings than --max-warnings after -- allows",
    ExitCode.BENCH_LOST: "the bench or the line went away: nobody answers, or only noise comes",
    ExitCode.DEVICE_REFUSED: "the pump answered and did not do it, or not all of it; the sentence says which",
    ExitCode.OUTCOME_UNKNOWN: "a command was sent and nobody knows yet what became of it: do not repeat it, ask",
    ExitCode.BAD_CONFIGURATION: "an address, file, profile or option that cannot be right; nothing was sent",
    ExitCode.TAKEN: "somebody else has the port, board, link, image, state file or report directory",
    ExitCode.ANSWER_NOT_WRITTEN: "it was done as the sentence says, and the answer could not be printed",
    ExitCode.DECLINED: "a question was not answered with yes: nothing was changed",
    ExitCode.LEFT_STOPPED: "it was done, and the pump is left stopped without a second yes: its program does not run",
    ExitCode.DIFFERENT: "what was compared is not the same: the sentence says where, and how often",
    ExitCode.INTERRUPTED: "Ctrl-C, before a command had left: nothing was sent",
}
"""What each exit code says, for the page of them."""


class PumpbenchError(Exception):
    """Base of everything that this side raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.BENCH_LOST
    accused: ClassVar[str] = "bench"

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message

    def one_line(self) -> str:
        """Whose fault, what happened and what to do, for a terminal, whose cursor no name in it moves."""
        return in_one_line(f"{self.accused}: {self}")


class UsageError(PumpbenchError):
    """The caller asked for what this library or target does not do."""

    exit_code = ExitCode.USAGE
    accused = "usage"


class NotOnThisRig(UsageError):
    """A rig of parts lacks the part: under pytest the test is skipped with that reason."""


class BadConfiguration(PumpbenchError):
    """An address, key file or state file that cannot be right."""

    exit_code = ExitCode.BAD_CONFIGURATION
    accused = "configuration"


class LacksKey(BadConfiguration):
    """The key file of a bench has no key of a role that is asked for, or cannot be read: the fault of the bench."""


class BenchLost(PumpbenchError):
    """The bench went away or broke: emulator dead, rig control gone, port unplugged."""

    exit_code = ExitCode.BENCH_LOST
    accused = "bench"


class LeaseLost(BenchLost):
    """The board was taken away from this process, or was not used for too long: for it the bench is gone."""

    exit_code = ExitCode.TAKEN
    accused = "lease"


class LinkError(PumpbenchError):
    """The line is there, but the conversation over it is not: no answer, only noise."""

    exit_code = ExitCode.BENCH_LOST
    accused = "link"


class LineGap(LinkError):
    """The line was lost and is back: what was on its way then may have arrived, or not."""


class NotExecuted(LinkError):
    """A command was lost on its way, and the pump has said that it never received it: nothing was done."""

    def __init__(self, message: str, *, cmd_id: int, outcome: Outcome, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.cmd_id = cmd_id
        self.outcome = outcome


class RefusalLost(NotExecuted):
    """The pump refused a command and its answer was lost: that it did nothing was learnt by asking."""

    exit_code = ExitCode.DEVICE_REFUSED
    accused = "device"


class InUse(PumpbenchError):
    """Somebody else has the port, the session or the key."""

    exit_code = ExitCode.TAKEN
    accused = "port or link taken"


def error_of_emulator(exit_code: int) -> type[BadConfiguration | InUse | BenchLost]:
    """What an error of the emulator, known by its exit code, is on this side."""
    ours: dict[int, type[BadConfiguration | InUse]] = {
        each.exit_code: each for each in (BadConfiguration, InUse)
    }
    return ours.get(exit_code, BenchLost)


class OutcomeUnknown(PumpbenchError):
    """A command was sent and nobody can say yet what became of it. It may have been carried out."""

    exit_code = ExitCode.OUTCOME_UNKNOWN
    accused = "outcome unknown"

    def __init__(self, message: str, *, cmd_id: int, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.cmd_id = cmd_id


def loss_behind(error: BaseException) -> BaseException:
    """The loss of the bench by which an outcome is not known; any other error itself."""
    lost = error.__cause__
    return lost if isinstance(error, OutcomeUnknown) and isinstance(lost, BenchLost) else error


class AnswerNotWritten(PumpbenchError):
    """The answer is there and could not be written to stdout. `quiet` where nobody needs to be told."""

    exit_code = ExitCode.ANSWER_NOT_WRITTEN
    accused = "output"

    def __init__(self, done: str, why: str, *, advice: str = "", quiet: bool = False) -> None:
        what = f"{done}; the answer could not be written" if done else "the answer could not be written"
        super().__init__(f"{what} ({why})", advice=advice)
        self.quiet = quiet and not done


class Declined(PumpbenchError):
    """A human was asked, and did not say yes."""

    exit_code = ExitCode.DECLINED
    accused = "declined"


class NotTheSame(PumpbenchError):
    """What was compared differs: two recordings, or a run and the recording that it was held against."""

    exit_code = ExitCode.DIFFERENT
    accused = "difference"


class InvariantViolated(PumpbenchError):
    """In a life of a campaign something did not hold that must hold of any pump at any time."""

    exit_code = ExitCode.TESTS_FAILED
    accused = "device"


class LeftStopped(PumpbenchError):
    """What was asked for was done, and the pump stays stopped, which nobody has confirmed [DOMAIN RH-18]."""

    exit_code = ExitCode.LEFT_STOPPED
    accused = "stopped"


class Interrupted(PumpbenchError):
    """Ctrl-C ended the command line before a command had left."""

    exit_code = ExitCode.INTERRUPTED
    accused = "interrupted"


class DeviceError(PumpbenchError):
    """The device answered, and the answer is the problem."""

    exit_code = ExitCode.DEVICE_REFUSED
    accused = "device"


class DeviceUnsafe(DeviceError):
    """The device answered what its protocol does not know: its state is unknown, and so not safe to act on."""


class SessionRefused(DeviceError):
    """The device refused to open a session. The refusal is not authenticated: a hint, not a proof."""

    def __init__(self, message: str, *, reason: int, retry_after_s: int, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.reason = reason
        self.retry_after_s = retry_after_s


class DeviceRefused(DeviceError):
    """The pump refused a request, over a secured session, and says what it changed by that."""

    def __init__(self, opcode: Opcode, error: ErrorReply) -> None:
        # errors are imported by `--help` too
        from hil.refusal_words import sentence_of_refusal, way_on_of  # noqa: PLC0415

        super().__init__(sentence_of_refusal(opcode, error), advice=way_on_of(error))
        self.opcode = opcode
        self.error = error

    @property
    def code(self) -> int:
        """Error code of the refusal."""
        return self.error.code


class CommandRefused(DeviceRefused):
    """A command with an id was refused and changed nothing: it failed, for certain."""

    def __init__(self, opcode: Opcode, error: ErrorReply, *, cmd_id: int) -> None:
        super().__init__(opcode, error)
        self.cmd_id = cmd_id
