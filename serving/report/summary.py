"""What the sentences of the page count, as a table of its own: `page_summary`."""

from __future__ import annotations

import pyarrow as pa

from features.indicators.business_table import COUNT, TEXT, TableShape
from serving.report.written_tables import Row, WrittenTables

PAGE_SUMMARY = TableShape(
    "page_summary",
    "rows of other tables that the sentences of the page count",
    "rows of tables",
    {"name": TEXT, "value": COUNT},
)
VERDICTS = ("holds", "does not hold", "cannot be told")
_AGES = (90, 60, 30, 180)  # the age at which months are compared: the first that enough have
_MONTHS = 12


def summary_table(tables: WrittenTables, *, as_of: int) -> pa.Table:
    """`page_summary`: groups of calibration, months of acquisition, claims."""
    groups = tables.rows("calibration")
    _, months, everybody = compared_months(tables)
    overall = None if everybody is None else everybody["retention"]
    verdicts = [row["verdict"] for row in tables.rows("textbook")]
    counts = {
        "calibration groups": len(groups),
        "calibration groups that hold": sum(
            row["low"] <= row["predicted"] <= row["high"] for row in groups
        ),
        "months compared": len(months),
        "months that are better": sum(_is_above(row["low"], overall) for row in months),
        "months that are worse": sum(_is_above(overall, row["high"]) for row in months),
        "claims": len(verdicts),
        **{f"claims: {verdict}": verdicts.count(verdict) for verdict in VERDICTS},
    }
    rows = [{"name": name, "value": value} for name, value in counts.items()]
    return PAGE_SUMMARY.fill_rows(rows, as_of=as_of)


def compared_months(tables: WrittenTables) -> tuple[int, list[Row], Row | None]:
    """The age at which months of acquisition are compared, the newest of them, and all customers.

    The first of the ages that two months and more with enough customers have been observed at.
    """
    retention = tables.rows("retention")
    for age in _AGES:
        at_age = [row for row in retention if row["age_days"] == age and row["n"]]
        months = [row for row in at_age if row["cohort"] != "all" and not row.is_small]
        everybody = [row for row in at_age if row["cohort"] == "all"]
        if len(months) > 1 and everybody:
            return age, sorted(months, key=lambda row: row["cohort"])[-_MONTHS:], everybody[0]
    return _AGES[0], [], None


def _is_above(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one > other
