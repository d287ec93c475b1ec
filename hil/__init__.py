"""The library for programs of your own: `hil.connect` gives a `Programmer` that talks to a pump.

    with hil.connect("pty:./pump") as pump:     # an address, else $PUMPBENCH_TARGET, else a pump in this process
        print(pump.status().state.name)
        bolus = pump.bolus(volume_nl=50_000, duration_s=600)

    Programmer          what a pump is asked and told: help(hil.Programmer)
    RigClient           the bench around an emulated pump: time, faults, what is physically so
    InfusionProgram     a program of any mode, and read_program(path), which reads one of a file
    read_recording      a session on file, as arrays
    PumpbenchError      what all errors of ours are: .one_line() says whose fault; OutcomeUnknown, DeviceRefused, ...

hil/README.md has all of it. The other modules of this package are no part of the library.
Names are imported when they are first used, so that `import hil`, and with it the command line, costs nothing.
"""

TYPE_CHECKING = False  # importing `typing` would cost more than the rest of this module

if TYPE_CHECKING:
    from hil.capture.columns import Recording, read_recording
    from hil.connected_programmer import connect
    from hil.errors import (
        BadConfiguration,
        BenchLost,
        CommandRefused,
        DeviceError,
        DeviceRefused,
        DeviceUnsafe,
        InUse,
        LineGap,
        LinkError,
        NotExecuted,
        OutcomeUnknown,
        PumpbenchError,
        RefusalLost,
        SessionRefused,
        UsageError,
    )
    from hil.programmer.command_ledger import Executed
    from hil.programmer.programmer import Programmer
    from hil.programmer.staging import DayGroup, Days, DoseStep, ProgramRefused
    from hil.programs.infusion_program import InfusionProgram
    from hil.programs.reading import read_program
    from hil.rig import FaultStart, Rig
    from hil.rig_client import RigClient
    from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock

    __version__: str

__all__ = [
    "BadConfiguration",
    "BenchLost",
    "BridgeBlock",
    "CommandRefused",
    "DayGroup",
    "Days",
    "DeviceError",
    "DeviceRefused",
    "DeviceUnsafe",
    "DoseStep",
    "Executed",
    "FaultStart",
    "InUse",
    "InfusionProgram",
    "LineGap",
    "LinkError",
    "NotExecuted",
    "OutcomeUnknown",
    "PatientBlock",
    "PeriodicBlock",
    "ProgramRefused",
    "Programmer",
    "PumpbenchError",
    "Recording",
    "RefusalLost",
    "Rig",
    "RigClient",
    "SessionRefused",
    "UsageError",
    "__version__",
    "connect",
    "read_program",
    "read_recording",
]

# Where a name comes from; all others in __all__ are errors.
_MODULES = {
    "BridgeBlock": "protocol.messages.program",
    "DayGroup": "hil.programmer.staging",
    "Days": "hil.programmer.staging",
    "DoseStep": "hil.programmer.staging",
    "Executed": "hil.programmer.command_ledger",
    "FaultStart": "hil.rig",
    "InfusionProgram": "hil.programs.infusion_program",
    "PatientBlock": "protocol.messages.program",
    "PeriodicBlock": "protocol.messages.program",
    "ProgramRefused": "hil.programmer.staging",
    "Recording": "hil.capture.columns",
    "Programmer": "hil.programmer.programmer",
    "Rig": "hil.rig",
    "RigClient": "hil.rig_client",
    "connect": "hil.connected_programmer",
    "read_program": "hil.programs.reading",
    "read_recording": "hil.capture.columns",
}


def _imported(name: str) -> object:
    """A public name, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module, metadata  # noqa: PLC0415 - nothing of it at `import hil`

    from hil.installation import check_protocol_is_ours  # noqa: PLC0415

    check_protocol_is_ours()
    value: object
    if name == "__version__":
        value = metadata.version("pumpbench")
    else:
        value = getattr(import_module(_MODULES.get(name, "hil.errors")), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:
    __getattr__ = _imported  # a type checker would believe every name of a module that has one

    def __dir__() -> list[str]:
        """The public names too, for `help`, and for a shell that completes names."""
        return sorted({*globals(), *__all__})
