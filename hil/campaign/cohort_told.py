"""What is told of a cohort, beside what is published: a part of documents, and lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

from hil.campaign.published import BETWEEN_PPM, PUBLISHED, SOURCE
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.published import Cohort


class CohortFigurePart(TypedDict):
    """What pumps of a cohort gave beyond their program, beside a published mean."""

    name: Annotated[str, "of the value that lives yield"]
    meaning: Annotated[str, "in words"]
    count: Annotated[int, "how many values"]
    mean_ppm: Annotated[int, "their mean; below 0: too little was given"]
    sd_ppm: Annotated[int, "their standard deviation"]
    published_ppm: Annotated[int, "the published mean"]
    published_of: Annotated[str, "of how many"]


class CohortPart(TypedDict):
    """A cohort beside what is published of one."""

    source: Annotated[str, "of the published figures"]
    pumps: Annotated[int, "how many"]
    refills: Annotated[int, "how many were compared"]
    figures: Annotated[list[CohortFigurePart], "means; empty: no refill was compared"]
    explained_ppm: Annotated[int | None, "by how much syringes show more than a balance; null: no refill"]
    to_explain_ppm: Annotated[int, "the same between the published clinic and laboratory"]
    would_explain_nl: Annotated[
        int | None, "fluid drawn and not seen at each refill that would explain the rest"
    ]
    to_investigate: Annotated[int, "refills that a programmer would have called to be investigated"]
    ran_dry: Annotated[int, "pumps that were dry before a refill"]


def cohort_part(cohort: Cohort) -> CohortPart:
    """The document of it."""
    figures = cohort.figures()
    return CohortPart(
        source=SOURCE,
        pumps=cohort.pumps,
        refills=cohort.refills,
        figures=[
            CohortFigurePart(
                name=name,
                meaning=PUBLISHED[name].meaning,
                count=figure.number,
                mean_ppm=figure.mean_ppm,
                sd_ppm=figure.sd_ppm,
                published_ppm=PUBLISHED[name].mean_ppm,
                published_of=PUBLISHED[name].of,
            )
            for name, figure in figures.items()
        ],
        explained_ppm=cohort.explained_ppm(),
        to_explain_ppm=BETWEEN_PPM,
        would_explain_nl=cohort.would_explain_nl(),
        to_investigate=cohort.to_investigate,
        ran_dry=cohort.ran_dry,
    )


def cohort_lines(part: CohortPart) -> Iterator[str]:
    """The same for people."""
    yield size_line(part)
    yield "given beyond the program, mean (standard deviation, how many), and what is published:"
    for each in part["figures"]:
        yield (
            f"  {each['meaning']}: {_percent(each['mean_ppm'])} (sd {each['sd_ppm'] / 10_000:.1f} %, "
            f"{each['count']}); published {_percent(each['published_ppm'])}, {each['published_of']}"
        )
    yield from (f"  {line}" for line in conclusion_lines(part))


def size_line(part: CohortPart) -> str:
    """How many pumps and refills, and beside what they stand."""
    return f"cohort: {counted(part['pumps'], 'pump')}, {counted(part['refills'], 'refill')}; beside {part['source']}"


def conclusion_lines(part: CohortPart) -> Iterator[str]:
    """What the figures explain of what is published, and what else was seen."""
    if part["explained_ppm"] is not None and part["would_explain_nl"] is not None:
        yield (
            f"explained: syringes show {_percent(part['explained_ppm'])} beyond the balance, of "
            f"{_percent(part['to_explain_ppm'])} between clinic and laboratory"
        )
        yield (
            "not explained: the rest, as much as if at each refill "
            f"{part['would_explain_nl'] / 1_000_000:.2f} mL more were drawn and never seen"
        )
    yield (
        f"refills that a programmer would have called to be investigated: {part['to_investigate']}; "
        f"pumps that ran dry: {part['ran_dry']}"
    )


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:+.1f} %"
