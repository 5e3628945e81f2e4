"""Days that stand alone, and instants after today."""

from __future__ import annotations

from collections.abc import Iterator

from features.core.contract import ALL_TABLES, EVENT_TABLES
from features.core.instants import DAY_US, day_text, midnight_after, midnight_before
from features.core.settings import Settings
from features.plausibility.finding import Finding
from features.tables.data_end import LonelyDays, lonely_end
from features.tables.history import History
from features.tables.queries import first_value

# Instants that may lie ahead of today: what is agreed for later.
MAY_LIE_AHEAD = ("starts_at", "ends_at", "month")


def find_days(history: History, settings: Settings, *, now: int) -> Iterator[Finding]:
    """Lonely newest and oldest days of each event table, dates after `now` (µs), and old data."""
    yield from _long_ago(history, settings, now)
    for name in (*history.names, *history.further):
        if name in EVENT_TABLES:
            yield from _lonely(history, settings, name)
        yield from _after_today(history, name, now)


def _long_ago(history: History, settings: Settings, now: int) -> Iterator[Finding]:
    """Data that end so long before `now` that tonight's as_of would be refused.

    Not where [contract] data_until says that the data end there.
    """
    days = settings.contract.max_staleness_days
    ended = midnight_after(history.data_until, settings.zone)
    tonight = midnight_before(now, settings.zone)
    if settings.contract.data_until is not None or tonight <= ended + days * DAY_US:
        return
    quiet = (now - ended) // DAY_US
    end = day_text(ended, zone=settings.zone)
    yield Finding(
        "data_end_long_ago",
        settings.activity.table,
        f"the newest row was recorded before {end}, {quiet:,} days before today: an as_of of today "
        f"is refused (at most {days} days, [contract] max_staleness_days).",
        "Load the newer rows. If the data end there, write under [contract]: "
        f'data_until = "{end}"; --as-of scores the days until then.',
        counts={"days": quiet},
    )


def _lonely(history: History, settings: Settings, name: str) -> Iterator[Finding]:
    clock = f"occurred_at // {DAY_US}"
    days = history.connection.execute(
        f"SELECT {clock} AS day, count(*) FROM {name} GROUP BY day ORDER BY day"
    ).to_arrow_table()
    numbers, rows = days[0].to_numpy(), days[1].to_numpy()
    newest = lonely_end(numbers, rows)
    if newest:
        end = day_text((newest.edge + 1) * DAY_US, zone="UTC")
        yield _finding(
            "lonely_newest_day",
            name,
            newest,
            settings,
            fix=f"Correct these rows or leave them out: add WHERE occurred_at < '{end}' to the "
            f'SELECT of {name}. If they are right, set [contract] data_until = "…" to the day '
            "until which the data are complete.",
        )
    oldest = lonely_end(numbers, rows, newest=False)
    if oldest:
        start = day_text(oldest.edge * DAY_US, zone="UTC")
        yield _finding(
            "lonely_oldest_day",
            name,
            oldest,
            settings,
            fix=f"Correct these rows or leave them out: add WHERE occurred_at >= '{start}' to the "
            f"SELECT of {name}.",
        )


def _finding(name: str, table: str, days: LonelyDays, settings: Settings, *, fix: str) -> Finding:
    first, last, edge = (
        day_text(day * DAY_US, zone="UTC") for day in (days.first, days.last, days.edge)
    )
    where = f"on {first}" if first == last else f"from {first} to {last}"
    side = "after" if name == "lonely_newest_day" else "before"
    return Finding(
        name,
        table,
        f"{days.rows:,} rows {where} stand alone, {days.gap_days:,} days {side} all others "
        f"({edge}).",
        fix,
        counts={"rows": days.rows, "gap_days": days.gap_days},
        values=(first, last) if first != last else (first,),
    )


def _after_today(history: History, name: str, now: int) -> Iterator[Finding]:
    for column in ALL_TABLES[name].columns:
        if column.type != "instant" or column.name in MAY_LIE_AHEAD:
            continue
        later = f"FROM {name} WHERE {column.name} > {now + DAY_US}"
        rows = first_value(history.connection, f"SELECT count(*) {later}")
        if rows:
            newest = first_value(history.connection, f"SELECT max({column.name}) {later}")
            shown = day_text(newest // DAY_US * DAY_US, zone="UTC")
            today = day_text(now // DAY_US * DAY_US, zone="UTC")
            yield Finding(
                "dates_after_today",
                name,
                f"{rows:,} rows have a {column.name} after today ({today}); the newest is {shown}.",
                f"Correct {column.name} in the SELECT of {name} (day and month exchanged, a time "
                "zone, or a planned date?), or leave these rows out.",
                counts={"rows": rows},
                values=(shown,),
            )
