"""`lifecycle report`: the page, from the tables, the scores and the evaluation of their release."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.errors import BadSetting, ReleaseRefused
from features.core.instants import day_text
from features.core.progress import print_status
from features.core.settings import Settings
from features.engine.consent import consent_counts
from features.indicators.all_tables import Section
from features.tables.freshness import measure_freshness
from features.tables.history import History
from features.tables.typed_tables import RowCounts
from lifecycle.commands.value import make_value_tables
from serving.batch import run_manifest
from serving.release.checked_files import read_evaluation
from serving.release.manifest import verify_release
from serving.release.release_store import releases_folder
from serving.report.input_tables import input_tables
from serving.report.model_tables import model_tables
from serving.report.source import Facts, Source
from serving.report.summary import summary_table
from serving.report.write import WrittenPage, write_page
from serving.report.written_tables import WrittenTables, read_tables
from serving.value.scored_tables import run_of_day

# What no picture shows; a run, which draws the page by the way, does not wait for them.
NOT_DRAWN: tuple[Section, ...] = (
    "serving_cost",
    "value_drivers",
    "trends",
    "first_offer",
    "funnel",
    "prospects",
)


@dataclass(frozen=True)
class Wish:
    """What is wanted of a page: where it goes, and what makes it again (for the small print).

    `tables`: a folder that `lifecycle value --out` wrote, to be drawn as it is; None computes them.
    `with_ids`: name the first customers of the list in the page itself. `drawn_on`: today
    (YYYY-MM-DD), which says how old the page is. `without`: tables that no picture needs and that
    are not wanted beside the page.
    """

    out: Path
    command: str
    tables: Path | None = None
    with_ids: bool = False
    drawn_on: str | None = None
    without: Collection[Section] = ()


def make_page(
    history: History,
    counts: Mapping[str, RowCounts],
    settings: Settings,
    as_of: int | None,
    wish: Wish,
) -> WrittenPage:
    """Compute the tables at `as_of` (µs UTC; None: the midnight after the data), and draw them.

    AsOfTooLate, SeveralCurrencies as `lifecycle value`; StoreFailed where the page cannot be
    written.
    """
    if wish.tables is not None:
        written = read_tables(wish.tables)
        at = tables_instant(written.tables, wish.tables)
    else:
        print_status("tables of the page")
        value = make_value_tables(history, settings, as_of, without=wish.without)
        written, at = WrittenTables(value.tables), value.as_of
    print_status("drawing the page")
    release = _read_release(settings, at)
    currency = settings.business.currency
    freshness = measure_freshness(history, settings, at)
    every: dict[str, pa.Table] = {
        **written.tables,
        **input_tables(freshness, counts, as_of=at, zone=settings.zone),
        **model_tables(release.evaluation, as_of=at),
    }
    every["page_summary"] = summary_table(WrittenTables(every), as_of=at)
    facts = _facts(history, settings, release, at, wish)
    return write_page(Source(WrittenTables(every, currency, written.files), facts), wish.out)


def tables_instant(tables: Mapping[str, pa.Table], folder: Path) -> int:
    """The as_of of tables that were written together (µs UTC); BadSetting where there is none."""
    for table in tables.values():
        if table.num_rows and "as_of" in table.column_names:
            return int(table["as_of"][0].as_py())
    raise BadSetting(
        where="--tables",
        got="a folder without tables",
        rule="The page draws the tables that `lifecycle value --out` writes.",
        fix="Type: lifecycle value --out DIR, then lifecycle report --tables DIR.",
        values=[str(folder)],
    )


@dataclass(frozen=True)
class ScoredBy:
    """The release behind the scores of the day; all None without scores."""

    id: str | None = None
    evaluation: Mapping[str, Any] | None = None


def _read_release(settings: Settings, as_of: int) -> ScoredBy:
    run = run_of_day(settings, as_of)
    about = None if run is None else run_manifest.read_about(run)
    name = str((about or {}).get("release") or "")
    if not name:
        return ScoredBy()
    try:
        folder = releases_folder() / name
        verify_release(folder)
        return ScoredBy(name, read_evaluation(folder, name))
    except ReleaseRefused:
        return ScoredBy(name)


def _facts(
    history: History, settings: Settings, release: ScoredBy, as_of: int, wish: Wish
) -> Facts:
    day = day_text(as_of, zone=settings.zone)
    evaluation = release.evaluation or {}
    dates = (evaluation.get("as_of") or {}).get("refit") or []
    newest = max(dates, default=None)
    recommended = (evaluation.get("recommendation") or {}).get("churn") or {}
    age = None
    if newest is not None:
        age = (date.fromisoformat(day[:10]) - date.fromisoformat(newest[:10])).days
    return Facts(
        business=settings.business.name,
        as_of=day,
        horizon_days=settings.churn.horizon_days,
        contractual=settings.contractual,
        value_days=settings.value.days,
        eligible_days=settings.churn.eligible_days or settings.churn.horizon_days,
        command=wish.command,
        release=release.id,
        status=evaluation.get("status"),
        recommended=recommended.get("recommended"),
        trained_until=newest,
        model_age_days=age,
        evaluated_on=min((evaluation.get("as_of") or {}).get("evaluate") or [], default=None),
        gate=(evaluation.get("gate") or {}).get("verdict"),
        scores_of=day if release.id else None,
        consent=settings.consent.list and _has_flags(history, settings),
        drawn_on=wish.drawn_on,
        with_ids=wish.with_ids,
    )


def _has_flags(history: History, settings: Settings) -> bool:
    """Whether any customer has said yes or no."""
    counts = consent_counts(history, settings)
    return counts is not None and bool(counts["yes"] or counts["no"])
