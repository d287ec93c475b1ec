"""The part of a JSON document that `program report` adds."""

from __future__ import annotations

from typing import Annotated, TypedDict

from hil.cli.documents import ConfigItem, LogPart  # noqa: TC001 - the schemas read the hints
from hil.cli.procedure_documents import DatesPart  # noqa: TC001
from protocol.messages.alarms import AlarmRow  # noqa: TC001
from protocol.messages.program import GetProgramReply  # noqa: TC001
from protocol.messages.reading import GetDeliveryReply, GetInfoReply, GetStatusReply  # noqa: TC001
from protocol.messages.reservoir import GetReservoirReply  # noqa: TC001


class ReportPart(TypedDict):
    """A session report."""

    clinic: Annotated[str, "as it was named"]
    completed: Annotated[
        bool, "whether the program runs, no critical alarm is on, and the clock that it may need is set"
    ]
    investigate: Annotated[str, "what must be investigated of the last refill; empty where nothing must"]
    info: Annotated[GetInfoReply, "which pump this is"]
    status: Annotated[GetStatusReply, "what it believes and does"]
    program: Annotated[GetProgramReply, "its active program"]
    configuration: Annotated[list[ConfigItem], "what the clinic has set, as far as this key may read it"]
    reservoir: Annotated[GetReservoirReply, "reservoir and last refill"]
    dates: Annotated[DatesPart, "low, empty, and replacement"]
    delivery: Annotated[GetDeliveryReply, "volumes since the pump was made"]
    alarms: Annotated[list[AlarmRow], "alarms that are on or latched"]
    since_seq: Annotated[int, "first entry of this visit"]
    log: Annotated[LogPart, "the whole main log"]
