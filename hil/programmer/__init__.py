"""The programmer of a pump: `Programmer`, blocking, one method a command; its parts are families of commands.

`conversation` one session · `asking` what may be asked again · `ledger` what must never happen twice ·
`reading`, `staging`, `therapy` the commands · `programmer` the whole.
"""

from hil.programmer.entropy import SeededEntropy, SystemEntropy
from hil.programmer.ledger import Executed
from hil.programmer.programmer import Programmer
from hil.programmer.staging import ProgramRefused, StagedProgram

__all__ = ["Executed", "ProgramRefused", "Programmer", "SeededEntropy", "StagedProgram", "SystemEntropy"]
