"""The zone of the business: the one whose offsets the times carry, else asked where it matters."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import duckdb

from features.core.errors import BadSetting
from lifecycle.init.parts import Part
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.toml_page import Guess, toml_string
from lifecycle.init.zone_offsets import OffsetCount, zones_with

Parts = dict[str, list[Part]]

# A zone is asked for where it moves more than this share of the rows to another local day, or where
# the offsets of the times are those of a zone.
_MOVED = 0.01
_EXAMPLES = ("America/New_York", "Europe/Berlin", "Asia/Shanghai")
_TIMES = {"contracts": "starts_at", "customers": "acquired_at"}
_OFFSET = r":\d\d([.]\d+)? ?([+-]\d\d):?(\d\d)?$"


def guess_zone(connection: duckdb.DuckDBPyConnection, parts: Parts, answers: Answers) -> Guess:
    """The zone of the offsets, or UTC, or as it was answered; asked where it decides about days."""
    clocks = {clock for files in parts.values() for part in files for clock in part.clocks}
    if clocks <= {"days"}:
        reason = "there are dates only, so no zone is needed."
    elif "offset" not in clocks:
        reason = (
            "the clock times have no zone, so no row moves to another day; write the zone they "
            'were recorded in, such as "Europe/London", and summer time is right too.'
        )
    else:
        zones = zones_with(_count_offsets(connection, parts))
        rows, moved = _moved_rows(connection, parts, (*zones, *_EXAMPLES))
        if zones or (rows and max(moved.values()) > _MOVED * rows):
            return _ask_zone(rows, moved, zones, answers, mixed="naive" in clocks)
        reason = (
            "the times carry their offset, so no zone is needed to read them; "
            "your own zone would decide where a day begins."
        )
    zone = answers.given.get("zone", "UTC")
    _check_zone(zone)
    return Guess("business.zone", toml_string(zone), (reason,))


def _time_selects(parts: Parts) -> list[str]:
    """SQL for the times with an offset of each part, as text `t`."""
    return [
        f"SELECT CAST({_TIMES.get(table, 'occurred_at')} AS VARCHAR) AS t FROM ({part.select})"
        for table, files in parts.items()
        for part in files
        if (cell := part.cells.get(_TIMES.get(table, "occurred_at"))) and cell.clock == "offset"
    ]


def _count_offsets(connection: duckdb.DuckDBPyConnection, parts: Parts) -> list[OffsetCount]:
    """The rows of each day by the offset of their times."""
    counts = []
    for times in _time_selects(parts):
        rows = connection.execute(
            "SELECT hours * 60 + sign * minutes, day + INTERVAL 12 HOUR, count(*) FROM ("
            f"SELECT CAST(regexp_extract(t, '{_OFFSET}', 2) AS INTEGER) AS hours, "
            f"CAST('0' || regexp_extract(t, '{_OFFSET}', 3) AS INTEGER) AS minutes, "
            f"CASE WHEN regexp_extract(t, '{_OFFSET}', 2) LIKE '-%' THEN -1 ELSE 1 END AS sign, "
            "CAST(TRY_CAST(t AS TIMESTAMPTZ) AS DATE) AS day "
            f"FROM ({times}) WHERE regexp_matches(t, '{_OFFSET}')) "
            "WHERE day IS NOT NULL GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        counts += [OffsetCount(minutes, at.replace(tzinfo=UTC), n) for minutes, at, n in rows]
    return counts


def _moved_rows(
    connection: duckdb.DuckDBPyConnection, parts: Parts, zones: tuple[str, ...]
) -> tuple[int, dict[str, int]]:
    """Rows with an offset, and how many of them each zone moves to another day than UTC's."""
    rows, moved = 0, dict.fromkeys(zones, 0)
    counts = ", ".join(
        f"count(*) FILTER (CAST(timezone('{zone}', t) AS DATE) <> CAST(t AS DATE))"
        for zone in moved
    )
    for times in _time_selects(parts):
        instants = f"SELECT TRY_CAST(t AS TIMESTAMPTZ) AS t FROM ({times})"
        total, *each = connection.execute(
            f"SELECT count(t), {counts} FROM ({instants})"
        ).fetchall()[0]
        rows += total
        for zone, count in zip(moved, each, strict=True):
            moved[zone] += count
    return rows, moved


def _ask_zone(
    rows: int, moved: dict[str, int], zones: list[str], answers: Answers, *, mixed: bool
) -> Guess:
    """zones: those that have the offsets of the times, the likeliest first."""
    other = "; other times have no zone, and it is that of theirs" if mixed else ""
    fit = f" The offsets are those of {' or '.join(zones)}." if zones else ""
    listed = [
        Answer(zone, f"{count:,} rows are on another day than in UTC")
        for zone, count in moved.items()
    ]
    question = Question(
        "zone",
        f"{rows:,} times carry an offset: your zone decides on which day they are{other}.{fit}",
        (
            *listed[: len(zones)],
            Answer("UTC", "days are those of UTC"),
            *([] if zones else listed),
        ),
        is_open=True,
    )
    zone = answers.ask(question)
    _check_zone(zone)
    return Guess("business.zone", toml_string(zone), (answers.check_note(question),))


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError) as error:
        raise BadSetting(
            where="--answer zone",
            got="a zone that is not known",
            rule="A zone is a name of the IANA time zone database.",
            fix="Type a name such as: --answer zone=Europe/London",
            values=[zone],
        ) from error
