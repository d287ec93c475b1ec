"""The errors of the bench around a pump, each with the exit code that it ends in. The pump's own are not here.

The sentence of each error is for a person: what is wrong, and what to do. Codes are those of the command line
and are never reused; 2 is click's, for usage.
"""

from __future__ import annotations

import errno

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What the system says where a limit of this process, or of the machine, is reached."""


def pass_on_out_of_resources(error: OSError) -> None:
    """Raise the error where a limit is at fault and no file: the command line says that of all of them."""
    if error.errno in OUT_OF_RESOURCES:
        raise error


class BenchError(Exception):
    """The bench cannot do what was asked; the text says why and what to do."""

    exit_code = 10


class BenchLostError(BenchError):
    """A running pump has lost its terminal, its image or the system's resources."""

    exit_code = 7


class BadConfigurationError(BenchError):
    """A profile, image or path that is not usable as it is."""


class TakenError(BenchError):
    """A port, link or image that somebody else holds."""

    exit_code = 11


class NotWrittenError(BenchError):
    """The ready line could not be written: nobody would know how to reach this pump."""

    exit_code = 12


class LeasedError(BenchError):
    """A verb of rig control while another controller has the bench to itself."""


class NotNowError(BenchError):
    """A rig command that does not fit the present state: wrong time mode, power off, another time run under way."""


class ClosingError(NotNowError):
    """A rig command that comes while the bench closes."""
