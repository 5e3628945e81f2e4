"""One way to write an instant, and the four ways to write it as a number since 1970."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeStyle:
    """One way to write an instant: an SQL test of `v`, and the SQL that reads the column.

    unknown_zones: letters of zones that do not mean one offset everywhere, such as CST.
    """

    test: str
    sql: str
    note: str = ""
    is_instant: bool = False
    day: str = ""
    unknown_zones: tuple[str, ...] = ()


def epoch_styles(whole: str, decimal: str) -> list[TimeStyle]:
    """Seconds, milliseconds, microseconds and nanoseconds since 1970.

    whole, decimal: SQL for the cell as a whole number and as a floating one. A number of another
    unit is no instant: seconds that are read as milliseconds would all lie in January 1970.
    """
    return [
        _epoch_style("seconds", r"[1-9]\d{8,9}([.]\d+)?", f"to_timestamp({decimal})", decimal),
        _epoch_style("milliseconds", r"[12]\d{12}", f"to_timestamp({whole} / 1000)", whole),
        _epoch_style("microseconds", r"[12]\d{15}", f"make_timestamptz({whole})", whole),
        _epoch_style("nanoseconds", r"[12]\d{18}", f"make_timestamptz({whole} // 1000)", whole),
    ]


_DIGITS = {
    "seconds": (10**8, 10**10),
    "milliseconds": (10**12, 3 * 10**12),
    "microseconds": (10**15, 3 * 10**15),
    "nanoseconds": (10**18, 3 * 10**18),
}


def _epoch_style(unit: str, pattern: str, sql: str, number: str) -> TimeStyle:
    low, high = _DIGITS[unit]
    return TimeStyle(
        f"regexp_matches(v, '^{pattern}$')",
        f"CASE WHEN {number} BETWEEN {low} AND {high - 1} THEN {sql} END",
        f"{unit} since 1970",
        is_instant=True,
    )
