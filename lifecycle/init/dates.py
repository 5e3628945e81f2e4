"""How people write days and clock times: formats of strptime, and the text that each looks like.

Plain data. Where a value can be read either way, the day comes before the month.
"""

from __future__ import annotations

import re

DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y",
    "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y/%m/%d",
    "%y-%m-%d", "%y.%m.%d", "%d-%b-%Y",
    "%d-%b-%y", "%d/%b/%Y", "%d %b %Y", "%d %B %Y", "%d. %b %Y", "%d. %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%Y年%m月%d日", "%Y %b %d",
)  # fmt: skip
CLOCKS = (
    "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H.%M", "%H时%M分",
)  # fmt: skip
BETWEEN = (" ", "T", ", ", " at ")
# Digits alone, with the clock.
COMPACT = ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%dT%H%M%S", "%Y%m%d %H%M%S")

WEEKDAY = "^(Mon|Tue|Wed|Thu|Fri|Sat|Sun|mon|tue|wed|thu|fri|sat|sun)[a-z]*[,.]? +"
BRACKETS = r" *\([^()]*\)$"
CLOCK = r"(\d{1,2}:\d{2}(:\d{2}([.]\d{1,9})?)?( ?[AaPp][Mm])?|\d{8}T\d{4,6})"
OFFSET = r"( ?(UTC|GMT|Z)?[+-]\d{2}:?\d{2}| ?(UTC|GMT|Z))$"
ZONE_NAME = r" ([A-Z]{3,4}|[A-Z][A-Za-z]+/[A-Za-z_/+-]+[0-9]*)$"
# Letters of zones that mean one offset wherever they are written: in winter and in summer.
SEASONS: tuple[dict[str, str], ...] = (
    {"EST": "-05:00", "EDT": "-04:00"},
    {"MST": "-07:00", "MDT": "-06:00"},
    {"PST": "-08:00", "PDT": "-07:00"},
    {"CET": "+01:00", "CEST": "+02:00"},
    {"EET": "+02:00", "EEST": "+03:00"},
    {"JST": "+09:00"},
    {"AEST": "+10:00", "AEDT": "+11:00"},
)
ABBREVIATIONS = {name: offset for zone in SEASONS for name, offset in zone.items()}
# The names of months that strptime does not know, as the ones that it knows.
MONTHS = {
    "Jan": "januar jänner janvier janv enero ene janeiro",
    "Feb": "februar février fevrier févr fevr febrero fevereiro fev",
    "Mar": "märz mär mrz mars marzo março",
    "Apr": "avril avr abril abr",
    "May": "mai mayo maio",
    "Jun": "juni juin junio junho",
    "Jul": "juli juillet juil julio julho",
    "Aug": "août aout agosto ago",
    "Sep": "septembre sept septiembre setembro set",
    "Oct": "oktober okt octobre octubre outubro out",
    "Nov": "novembre noviembre novembro",
    "Dec": "dezember dez décembre decembre déc diciembre dic dezembro",
}
ENGLISH_MONTHS = {
    name[:length].lower(): name[:3]
    for name in (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    )
    for length in (3, 9)
}  # fmt: skip
# Of one spelling that several months could have, none is taken (mar is March in all of these).
_TOKENS = {
    "Y": r"\d{4}",
    "y": r"\d\d",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]{3,9}",
    "p": "[AaPp][Mm]",
    "f": r"\d+",
}


def looks_like(format_: str) -> re.Pattern[str]:
    """The pattern of text that strptime could read by `format_`.

    >>> bool(looks_like("%d/%m/%Y").fullmatch("3/12/2024"))
    True
    """
    fixed = r"\d\d" if format_ in COMPACT or format_.startswith("%Y%m%d") else r"\d{1,2}"
    return re.compile(
        re.sub(r"%(\w)", lambda token: _TOKENS.get(token[1], fixed), format_.replace(".", "[.]"))
    )


# Formats by day format: the day alone, and with each clock.
FAMILIES: dict[str, tuple[str, ...]] = {
    day: (
        day,
        *(day + between + clock for between in BETWEEN for clock in CLOCKS),
        *((compact for compact in COMPACT) if day == "%Y%m%d" else ()),
        *((f"{day[:-3]} {clock} %Y" for clock in CLOCKS) if day.endswith("%d %Y") else ()),
    )
    for day in DAYS
}
LOOKS = {format_: looks_like(format_) for formats in FAMILIES.values() for format_ in formats}
