"""What `pumpbench campaign run` tells of a cohort, beside what is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.campaign.published import BETWEEN_PPM, PUBLISHED, SOURCE
from hil.cli.campaign_documents import CohortFigurePart, CohortPart
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.campaign.published import Cohort


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
    yield f"cohort: {counted(part['pumps'], 'pump')}, {counted(part['refills'], 'refill')}; beside {part['source']}"
    yield "given beyond the program, mean (standard deviation, how many), and what is published:"
    for each in part["figures"]:
        yield (
            f"  {each['meaning']}: {_percent(each['mean_ppm'])} (sd {each['sd_ppm'] / 10_000:.1f} %, "
            f"{each['count']}); published {_percent(each['published_ppm'])}, {each['published_of']}"
        )
    if part["explained_ppm"] is not None and part["would_explain_nl"] is not None:
        yield (
            f"  explained: syringes show {_percent(part['explained_ppm'])} beyond the balance, of "
            f"{_percent(part['to_explain_ppm'])} between clinic and laboratory"
        )
        yield (
            "  not explained: the rest, as much as if at each refill "
            f"{part['would_explain_nl'] / 1_000_000:.2f} mL more were drawn and never seen"
        )
    yield (
        f"  refills that a programmer would have called to be investigated: {part['to_investigate']}; "
        f"pumps that ran dry: {part['ran_dry']}"
    )


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:+.1f} %"
