"""What stands around a date, and words that strptime does not know: taken away, in SQL too."""

from __future__ import annotations

import re

from features.tables.parsing import literal
from lifecycle.init.dates import (
    BRACKETS,
    CLOCK,
    ENGLISH_MONTHS,
    MONTHS,
    OFFSET,
    WEEKDAY,
    ZONE_NAME,
)


class DateText:
    """What must go before strptime reads a text: week days, brackets, offsets, names of months."""

    def __init__(self, values: list[str]) -> None:
        self.weekday = any(re.match(WEEKDAY, value) for value in values)
        self.brackets = any(re.search(CLOCK + ".*" + BRACKETS, value) for value in values)
        bare = [self._without_frame(value) for value in values]
        self.offset = any(re.search(CLOCK + OFFSET, value) for value in bare)
        names = [re.search(CLOCK + ZONE_NAME, value) for value in bare]
        zones = sorted({match[match.re.groups] for match in names if match})
        self.zones = [zone for zone in zones if zone not in ("UTC", "GMT") and zone not in "AMPM"]
        words = {word for value in bare for word in re.findall(r"[^\W\d_]{3,}", value.casefold())}
        foreign = {word: english for english, names in MONTHS.items() for word in names.split()}
        self.months: list[tuple[str, str]] = []
        if words & set(foreign):
            known = foreign | ENGLISH_MONTHS
            self.months = sorted(
                ((word, english) for word, english in known.items() if word in words),
                key=lambda pair: (-len(pair[0]), pair[0]),
            )
        self.linking = bool(self.months) and any(" de " in value for value in bare)

    def _without_frame(self, value: str) -> str:
        value = re.sub(WEEKDAY, "", value) if self.weekday else value
        return re.sub(BRACKETS, "", value) if self.brackets else value

    def apply(self, value: str) -> str:
        """The value as strptime gets it."""
        value = self._without_frame(value)
        if self.offset:
            value = re.sub(f"({CLOCK}){OFFSET}", r"\1", value)
            value = re.sub(r"( \d{4}) (?=GMT$)", r"\1", value)
        if self.zones:
            value = re.sub(f"({CLOCK}){ZONE_NAME}", r"\1", value)
        if self.months:
            value = value.casefold().replace(" de ", " ")
            for word, english in self.months:
                value = re.sub(rf"\b{word}\b[.]?", english, value)
        return value

    def frame_sql(self, x: str) -> str:
        """SQL for the text without its week day and its brackets."""
        if self.weekday:
            x = f"regexp_replace({x}, {literal(WEEKDAY)}, '')"
        if self.brackets:
            x = f"regexp_replace({x}, {literal(BRACKETS)}, '')"
        return x

    def body_sql(self, x: str) -> str:
        """SQL for the text that strptime reads."""
        x = self.frame_sql(x)
        if self.offset:
            x = f"regexp_replace({x}, {literal(OFFSET)}, '')"
        if self.zones:
            x = f"regexp_replace({x}, {literal(ZONE_NAME)}, '')"
        if self.months:
            x = f"replace(lower({x}), ' de ', ' ')" if self.linking else f"lower({x})"
            for word, english in self.months:
                x = f"regexp_replace({x}, '(^|[^a-z]){word}[.]?([^a-zß-ÿ]|$)', '\\1{english}\\2')"
        return x
