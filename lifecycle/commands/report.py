"""`lifecycle report`: the page, from the tables, the scores and the evaluation of their release."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.errors import BadSetting, ReleaseRefused
from features.core.instants import day_text
from features.core.language import say
from features.core.progress import print_status
from features.core.setting_changes import OPTION, change_text
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
from serving.report.strip import days_between
from serving.report.summary import summary_table
from serving.report.write import WrittenPage, check_place, write_page
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

    `command`: of the instant of the page (µs UTC), the text that makes it again.
    `tables`: a folder that `lifecycle value --out` wrote, to be drawn as it is; None computes them.
    `with_ids`: name the first customers of the list in the page itself. `drawn_on`: today
    (YYYY-MM-DD), which says how old the page is. `without`: tables that no picture needs and that
    are not wanted beside the page.
    """

    out: Path
    command: Callable[[int], str]
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

    AsOfTooLate, SeveralCurrencies as `lifecycle value`; BadSetting and StoreFailed where the page
    cannot be written; InputRefused for tables that `lifecycle value` did not write so.
    """
    check_place(wish.out)
    if wish.tables is not None:
        written = read_tables(wish.tables)
        at = tables_instant(written.tables, wish.tables, settings.zone)
        if as_of not in (None, at):
            raise _two_days(settings.zone, [at, as_of])
    else:
        print_status(say("tables of the page"))
        value = make_value_tables(history, settings, as_of, without=wish.without)
        written, at = WrittenTables(value.tables), value.as_of
    print_status(say("drawing the page"))
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


def tables_instant(tables: Mapping[str, pa.Table], folder: Path, zone: str) -> int:
    """The one as_of of tables that were written together (µs UTC).

    BadSetting where there is none, and where tables are of several instants.
    """
    instants = {
        at
        for table in tables.values()
        if "as_of" in table.column_names
        for at in table["as_of"].drop_null().unique().to_pylist()
    }
    if len(instants) == 1:
        return int(instants.pop())
    if instants:
        raise _two_days(zone, instants)
    raise BadSetting(
        where="--tables",
        got="a folder without tables",
        rule="The page draws the tables that `lifecycle value --out` writes.",
        fix="Type: lifecycle value --out DIR, then lifecycle report --tables DIR.",
        values=[str(folder)],
    )


def _two_days(zone: str, instants: Collection[int]) -> BadSetting:
    days = " and ".join(sorted(day_text(at, zone=zone) for at in instants)[:3])
    return BadSetting(
        where="--tables",
        got=f"as_of {days}",
        rule="All tables of a page are of one instant, and --as-of, if it is given, names it.",
        fix="Type: lifecycle value --as-of DAY --out DIR into a new folder, and draw that one.",
    )


def page_command(
    config: Path, changes: Mapping[str, Any] | None, as_of: int, zone: str, *further: str
) -> str:
    """What makes a page again: the command with every option that its numbers depend on."""
    options = [
        text for key, value in (changes or {}).items() for text in (OPTION, change_text(key, value))
    ]
    day = day_text(as_of, zone=zone)
    return shlex.join(
        ["lifecycle", "report", "-c", str(config), *options, "--as-of", day, *further]
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
    return Facts(
        business=settings.business.name,
        as_of=day,
        horizon_days=settings.churn.horizon_days,
        contractual=settings.contractual,
        value_days=settings.value.days,
        eligible_days=settings.churn.eligible_days or settings.churn.horizon_days,
        command=wish.command(as_of),
        release=release.id,
        status=evaluation.get("status"),
        recommended=recommended.get("recommended"),
        trained_until=newest,
        model_age_days=None if newest is None else days_between(newest, day),
        evaluated_on=min((evaluation.get("as_of") or {}).get("evaluate") or [], default=None),
        gate=(evaluation.get("gate") or {}).get("verdict"),
        scores_of=day if release.id else None,
        consent=settings.consent.list and consent_counts(history, settings) is not None,
        drawn_on=wish.drawn_on,
        with_ids=wish.with_ids,
    )
