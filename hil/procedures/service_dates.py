"""When a pump must be replaced: dates by the calendar, from the day of its implant [DOMAIN 1.5]."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Final, NamedTuple

SERVICE_LIFE_MONTHS: Final = 84  # then the pump stops by itself [DOMAIN 0.3, C10]
PLAN_MONTHS: Final = 6  # plan the replacement so long before that [DOMAIN 1.5, S3]
ERI_TO_STOP: Final = timedelta(days=90)  # [DOMAIN 0.3, C9]
MONTHS_PER_YEAR: Final = 12


class ServiceDates(NamedTuple):
    """The dates of a pump's life, each in the zone of the implant date."""

    plan_by: datetime
    """Six months before the end."""
    latest_eri: datetime
    """When the pump says at the latest that it must be replaced, 90 days before the end."""
    replace_by: datetime
    """When it stops, 84 months after the implant."""


def months_later(moment: datetime, months: int) -> datetime:
    """The same local time of day so many months later; a day that the month lacks becomes its last.

    `months` may be negative; OverflowError or ValueError outside the years 1 to 9999.
    """
    years, month0 = divmod(moment.month - 1 + months, MONTHS_PER_YEAR)
    year, month = moment.year + years, month0 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def service_dates(implanted: datetime) -> ServiceDates:
    """The dates of a pump that was implanted then, by the calendar of that moment's zone."""
    replace_by = months_later(implanted, SERVICE_LIFE_MONTHS)
    return ServiceDates(
        months_later(implanted, SERVICE_LIFE_MONTHS - PLAN_MONTHS), replace_by - ERI_TO_STOP, replace_by
    )
