"""The tables for a business at one instant, written as parquet and CSV, and in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.instants import day_text
from features.core.settings import Settings
from features.indicators.all_tables import business_tables
from features.tables.history import History, newest_as_of, refuse_too_late
from serving.batch.writers import write_table

ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True)
class ValueTables:
    """The tables by name, and the instant they are of (µs UTC)."""

    tables: dict[str, pa.Table]
    as_of: int
    zone: str

    def write(self, folder: Path) -> None:
        """`<table>.parquet` and `<table>.csv` of each; StoreFailed where they cannot be written."""
        for name, table in self.tables.items():
            for ending in ENDINGS:
                write_table(table, folder / f"{name}{ending}")

    def report(self) -> dict[str, Any]:
        """as_of as text, and of each table its rows and what is missing."""
        return {
            "as_of": day_text(self.as_of, zone=self.zone),
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
        lines = [f"as of {report['as_of']}"]
        for name, table in report["tables"].items():
            lines.append(f"  {name}: {table['rows']:,} rows")
            lines += [f"    missing: {sentence}" for sentence in table["missing"]]
        return "\n".join(lines)


def make_value_tables(history: History, settings: Settings, as_of: int | None) -> ValueTables:
    """The tables as of an instant (µs UTC); None: the local midnight right after the data.

    Raises AsOfTooLate for an instant after the data, SeveralCurrencies for amounts in several.
    """
    if as_of is None:
        as_of = newest_as_of(history, settings, however_old=True)
    refuse_too_late(history, settings, as_of)
    return ValueTables(business_tables(history, settings, as_of=as_of), as_of, settings.zone)
