"""One row for each customer and a churn label, without dates: refused as what it is."""

from __future__ import annotations

from features.core import one_row_each
from features.core.errors import TimestampsMissing
from lifecycle.init.cells import Cell
from lifecycle.init.source import Source, split_words, squash
from lifecycle.init.words import CHURN_LABELS

_FEWEST_ROWS = 20
_MOST_LABELS = 3


def churn_label(source: Source) -> str:
    """The column that says who left, by its name and its few values; '' where there is none."""
    names = {squash(word) for word in CHURN_LABELS.split()}
    for column in source.types:
        if squash(column) in names or "churn" in split_words(column):
            [distinct] = source.count_distinct(column, [])
            if 0 < distinct <= _MOST_LABELS or "churn" in split_words(column):
                return column
    return ""


def is_labelled_snapshot(source: Source, person: Cell | None) -> bool:
    """Whether the file has a churn label and one row for each customer (or no customer at all)."""
    if not churn_label(source):
        return False
    if person is None:
        return True
    x = f"CAST({person.sql} AS VARCHAR)"
    rows, people = source.query(f"SELECT count(*), count(DISTINCT {x}) FROM {source.sample}")[0]
    return bool(rows <= 1.01 * people)


def refuse_snapshot(source: Source) -> None:
    """TimestampsMissing for a file of one row for each customer."""
    label = churn_label(source)
    labelled = f", and a label ({label})" if label else ""
    raise TimestampsMissing(
        where=source.label,
        got=f"{source.rows:,} rows, one for each customer, without the times of what they "
        f"did{labelled}",
        rule=one_row_each.RULE,
        fix=one_row_each.FIX,
    )


def has_one_instant(source: Source, cells: dict[str, Cell]) -> bool:
    """Whether all rows have one time, and each customer one row."""
    who, when = (f"CAST({cells[role].sql} AS VARCHAR)" for role in ("customer_id", "occurred_at"))
    rows, one_time = source.query(
        f"SELECT count(*), min({when}) = max({when}) FROM {source.sample}"
    )[0]
    if rows < _FEWEST_ROWS or not one_time:
        return False
    return rows == source.query_count(f"SELECT count(DISTINCT {who}) FROM {source.sample}")
