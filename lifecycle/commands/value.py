"""The tables for a business at one instant, written as parquet and CSV, and in a few words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.instants import day_text
from features.core.language import say
from features.core.settings import Settings
from features.core.staged_files import put_in_place, staging_folder
from features.indicators.all_tables import Section, business_tables
from features.indicators.what_if import what_if_table
from features.tables.freshness import measure_freshness
from features.tables.history import History, newest_as_of, refuse_too_late
from serving.batch.writers import out_errors, write_table, write_table_for_spreadsheets
from serving.value.scored_tables import scored_tables
from training.effects.register import campaign_tables


@dataclass(frozen=True)
class ValueTables:
    """The tables by name, and the instant they are of (µs UTC).

    `silent`: the tables of the business that had fallen silent by then, each with the day until
    which it is complete.
    """

    tables: dict[str, pa.Table]
    as_of: int
    zone: str
    silent: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """`<table>.parquet` and `<table>.csv` of each, all of them or none.

        StoreFailed where they cannot be written. In the CSV a text that a spreadsheet would take
        for a formula has an apostrophe before it.
        """
        with out_errors():
            folder.mkdir(parents=True, exist_ok=True)
            with staging_folder(folder) as staged:
                for name, table in self.tables.items():
                    write_table(table, staged / f"{name}.parquet")
                    write_table_for_spreadsheets(table, staged / f"{name}.csv")
                for path in sorted(staged.iterdir()):
                    put_in_place(path, folder / path.name)

    def report(self) -> dict[str, Any]:
        """as_of as text, silent tables, and of each table its rows and what is missing."""
        return {
            "as_of": day_text(self.as_of, zone=self.zone),
            "silent": dict(self.silent),
            "tables": {
                name: {
                    "rows": table.num_rows,
                    "missing": sorted(set(table["missing"].drop_null().to_pylist())),
                }
                for name, table in self.tables.items()
            },
        }

    def text(self) -> str:
        """The report in lines: what each table has, and what is missing."""
        report = self.report()
        lines = [say("as of {as_of}", as_of=report["as_of"])]
        lines += [
            say(
                "  {table} has been silent since {day}: what is counted from it ends there",
                table=name,
                day=day,
            )
            for name, day in self.silent.items()
        ]
        for name, table in report["tables"].items():
            lines.append(say("  {table}: {rows:,} rows", table=name, rows=table["rows"]))
            lines += [say("    missing: {sentence}", sentence=each) for each in table["missing"]]
        return "\n".join(lines)


def make_value_tables(
    history: History,
    settings: Settings,
    as_of: int | None,
    *,
    what_if: float | None = None,
    without: Collection[Section] = (),
) -> ValueTables:
    """The tables as of an instant (µs UTC); None: the local midnight right after the data.

    what_if: a change of retention, as a share, for the table `what_if`. without: sections that are
    not needed.
    Raises AsOfTooLate for an instant after the data, SeveralCurrencies for amounts in several.
    """
    if as_of is None:
        as_of = newest_as_of(history, settings, however_old=True)
    refuse_too_late(history, settings, as_of)
    silent = {
        name: day_text(each.complete_until, zone=settings.zone)
        for name, each in sorted(measure_freshness(history, settings, as_of).items())
        if each.is_stale and each.complete_until is not None
    }
    tables = business_tables(
        history, settings, as_of=as_of, further=[scored_tables, campaign_tables], without=without
    )
    if what_if is not None:
        tables["what_if"] = what_if_table(what_if, tables, settings)
    return ValueTables(tables, as_of, settings.zone, silent)
