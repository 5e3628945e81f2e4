"""How texts and cards write figures: no zero before the point, a dash for what is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len

from features.core.language import say

UNKNOWN = "–"


def decimals(value: float | None, digits: int = 3) -> str:
    """`.969`, `−.0241`, `1.000`."""
    if value is None:
        return UNKNOWN
    text = f"{abs(value):.{digits}f}"
    text = text.removeprefix("0") if digits else text
    # A value that rounds to zero has no sign.
    negative = value < 0 and text.strip(".0") != ""
    return f"−{text}" if negative else text


def signed(value: float | None, digits: int = 4) -> str:
    """`+.0241`, `−.0241`."""
    text = decimals(value, digits)
    return text if value is None or text.startswith("−") else f"+{text}"


def percent(value: float | None, digits: int = 1) -> str:
    """`97.8 %` of a share, in the current language."""
    return UNKNOWN if value is None else say("{share} %", share=f"{100 * value:.{digits}f}")


def stored_percent(value: float, digits: int = 1) -> str:
    """`97.8 %` of a share in any language, for sentences that are stored."""
    return f"{100 * value:.{digits}f} %"


def count(value: int | None) -> str:
    """`12,345`."""
    return UNKNOWN if value is None else f"{value:,}"


def span(low: float, high: float, digits: int = 3) -> str:
    """`.969–.980`; with ` to ` where a sign would follow the dash."""
    ends = {"low": decimals(low, digits), "high": decimals(high, digits)}
    return say("{low} to {high}", **ends) if low < 0 else "–".join(ends.values())


def percent_span(low: float, high: float, digits: int = 1) -> str:
    """`29.1–34.6 %` of shares."""
    return say("{low}–{high} %", low=f"{100 * low:.{digits}f}", high=f"{100 * high:.{digits}f}")


def confidence(low: float | None, high: float | None, digits: int = 3) -> str:
    """`, 95 % CI .969–.980`; empty where there is no interval."""
    if low is None or high is None:
        return ""
    return say(", 95 % CI {span}", span=span(low, high, digits))


def pad(text: str, width: int) -> str:
    """The text and spaces after it, `width` cells wide on a terminal; Chinese letters have two."""
    return text + " " * (width - cell_len(text))


def pad_left(text: str, width: int) -> str:
    """Spaces and then the text, `width` cells wide on a terminal."""
    return " " * (width - cell_len(text)) + text


def with_interval(
    report: Mapping[str, Any], figure: str, *, digits: int = 3, prefix: str = ""
) -> str:
    """`.785 (.729–.842)`, or the figure alone where the report has no interval.

    The ends are `low` and `high` of the report, or `<prefix>_low` and `<prefix>_high`.
    """
    text, ends = decimals(report.get(figure), digits), _ends(report, prefix)
    return f"{text} ({span(*ends, digits)})" if ends else text


def percent_with_interval(report: Mapping[str, Any], figure: str) -> str:
    """`31.2 % (29.1–34.6 %)`, or the share alone where the report has no interval."""
    text, ends = percent(report.get(figure)), _ends(report, "")
    return f"{text} ({percent_span(*ends)})" if ends else text


def _ends(report: Mapping[str, Any], prefix: str) -> tuple[float, float] | None:
    low, high = (report.get(f"{prefix}_{end}" if prefix else end) for end in ("low", "high"))
    return None if low is None or high is None else (low, high)
