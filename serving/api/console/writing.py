"""How a customer's page writes instants, money and words, in the current language."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from features.core.instants import local_date
from features.core.language import current_language, day, number, term
from features.core.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SMALL_MONEY = 100  # below it, cents matter


@dataclass(frozen=True)
class Writer:
    """Writes for a business: in its `zone`, in its `currency` with so many `digits`."""

    zone: str
    currency: str
    digits: int

    @classmethod
    def of_business(cls, settings: Settings) -> Writer:
        """The writer for the settings of a business."""
        return cls(settings.zone, settings.business.currency, settings.minor_digits)

    def date(self, at: int) -> str:
        """The local day of an instant (µs UTC)."""
        return _cached_day(current_language(), local_date(at, self.zone).isoformat())

    def moment(self, at: int) -> str:
        """The local day and minute of an instant (µs UTC)."""
        local = (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(self.zone))
        date = _cached_day(current_language(), local.date().isoformat())
        return f"{date} {local:%H:%M}"

    def money(self, minor: int) -> str:
        """An amount in minor units, such as cents."""
        text = _cached_number(current_language(), minor / 10**self.digits, self.digits)
        return f"{text} {self.currency}"

    def amount(self, value: float | None) -> str | None:
        """A quantity or a score, with a decimal where it has some."""
        if value is None:
            return None
        return _cached_number(current_language(), value, 0 if value == int(value) else 1)

    def worth(self, amount: float) -> str:
        """An expected amount, in units of the currency; cents only where it is small."""
        digits = self.digits if abs(amount) < _SMALL_MONEY else 0
        return f"{number(amount, digits)} {self.currency}"

    def flag(self, value: bool | None) -> str | None:
        """Yes or no; None where it is not known."""
        return None if value is None else term("yes") if value else term("no")


# Cached: a page has hundreds of days and numbers, and most of them again and again.
@functools.lru_cache(maxsize=8192)
def _cached_day(_language: str, text: str) -> str:
    return day(text)


@functools.lru_cache(maxsize=8192)
def _cached_number(_language: str, value: float, digits: int) -> str:
    return number(value, digits)


def write_word(text: str) -> str:
    """A word of ours, such as a stage, as people write it: `at risk`, or in Chinese."""
    return term(text) if term(text) != text else text.replace("_", " ")
