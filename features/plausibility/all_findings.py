"""Everything that looks wrong, in the order of its weight for the reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from features.core.instants import day_text
from features.core.settings import Settings
from features.plausibility.amounts import find_amounts, find_margins, find_negative_money
from features.plausibility.contracts import find_contracts
from features.plausibility.days import find_days
from features.plausibility.feeds import find_silent_feeds
from features.plausibility.finding import Finding
from features.plausibility.further_tables import find_further
from features.plausibility.ids import find_ids
from features.plausibility.outcomes import find_outcomes
from features.plausibility.placeholder_days import find_placeholder_days
from features.plausibility.rows import find_rows
from features.plausibility.settings_effect import find_settings
from features.recipes.definitions import Definitions
from features.tables.freshness import read_recorded_days
from features.tables.history import History, Known
from features.tables.typed_tables import RowCounts


def find_implausible(
    history: History,
    known: Known,
    counts: Mapping[str, RowCounts],
    settings: Settings,
    definitions: Definitions,
    *,
    now: int,
) -> list[Finding]:
    """Every finding about the tables; empty for plausible ones.

    known: at the end of the data, with the `definitions` learned there. now: the instant of the
    call (µs), for dates after today. Nothing is changed.
    """
    active = history.qualifying(known.tables[history.activity_table]).head(1)
    if next(iter(active.collect(backend="pyarrow").iter_rows()), None) is None:
        return [_nothing_left(history, settings)]
    recorded = read_recorded_days(history, settings)
    return [
        *find_silent_feeds(history, settings, recorded, now=now),
        *(days := [*find_days(history, settings, now=now)]),
        *_not_named_yet(find_placeholder_days(history), days),
        *find_rows(history, counts, settings),
        *find_ids(history, settings),
        *find_amounts(counts, settings),
        *find_negative_money(history),
        *find_margins(history, counts, settings),
        *find_contracts(history, known, counts, settings),
        *find_further(history, counts),
        *find_outcomes(history, settings, definitions),
        *find_settings(history, counts, settings, recorded),
    ]


def _not_named_yet(findings: Iterable[Finding], earlier: list[Finding]) -> Iterator[Finding]:
    """The findings without those whose day an earlier one has named for the same table."""
    named = {(finding.table, value) for finding in earlier for value in finding.values}
    for finding in findings:
        if not any((finding.table, value) in named for value in finding.values):
            yield finding


def _nothing_left(history: History, settings: Settings) -> Finding:
    """No activity is known at the end of the data: the cause that explains it."""
    table, until = settings.activity.table, day_text(history.data_until, zone=settings.zone)
    kinds = ", ".join(history.activity_kinds)
    marks = ", ".join("?" for _ in history.activity_kinds)
    [(rows, newest)] = history.connection.execute(
        f"SELECT count(*), min(recorded_at) FROM {table} WHERE kind IN ({marks})",
        list(history.activity_kinds),
    ).fetchall()
    if not rows:
        sentence = f"no row of {table} has one of the kinds that count as activity ({kinds})."
        fix = "Correct [activity] kinds, or the kind in the SELECT."
    else:
        first = day_text(newest, zone=settings.zone)
        sentence = (
            f"none of {rows:,} activities is known before the end of the data ({until}); the "
            f"first was recorded at {first}."
        )
        fix = (
            f"Leave recorded_at out of the SELECT of {table} if it is the time of the export; "
            "else correct [contract] data_until."
        )
    return Finding("nothing_left", table, sentence, fix, counts={"activities": rows})
