"""Newer events of customers whose history is that of the latest run.

The run's `history/` holds what was known of each customer before its as_of, and a newer row is one
that became known since. A row that was recorded before is one that the run knows: then it is an
exact duplicate, or the same row with cells that became known since (an answer, a resolution, a
cancellation), which takes its place. Any other contradicts the run and is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from features.core.contract import ALL_TABLES, OPEN_END_US
from features.core.errors import Malformed, Overloaded
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.engine.prepared import ARROW_TYPES, table_columns
from features.recipes.attributes import Attribute
from features.tables.terms import TermRules
from serving.api.history_rows import read_rows_of_many
from serving.api.lookup import Lookup, refuse_file
from serving.api.request_rows import Row, is_version
from serving.api.schemas import REQUEST_TABLES, rfc3339
from serving.api.strict import malformed_error

NumbersByCells = dict[tuple[object, ...], list[int]]
MOST_ROWS = 1_000_000  # of the history of one request's customers


@dataclass
class RunHistory:
    """The known rows of some customers, by table; of each table the numbers of rows that a newer
    row takes the place of are in `replaced`.
    """

    run: Lookup
    settings: Settings
    tables: dict[str, pa.Table]
    replaced: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def newer_rows(self, name: str, rows: Sequence[Row]) -> list[tuple[Row, bool]]:
        """Of one table's sent rows those that are no duplicates of known ones.

        Each with whether the run contradicts it: it was recorded before, and is not known.
        """
        early = [row for row in rows if self._is_early(name, row)]
        known = self._numbers_by_cells(name, {row["customer_id"] for row in early})
        result = []
        for row in rows:
            if not self._is_early(name, row):
                result.append((row, False))
                continue
            before = self._as_known(name, row)
            numbers = known.get(self._cells(name, before), [])
            if not numbers:
                result.append((row, True))
            elif before != row:
                self.replaced[name].add(numbers.pop())
                result.append((row, False))
            elif self._counts_again(name, row):
                result.append((row, False))
        return result

    def with_newer(self, name: str, newer: pa.Table | None, customers: Iterable[str]) -> pa.Table:
        """The known rows of these customers, but for those that were replaced, and the newer."""
        rows = self.tables[name]
        if self.replaced[name]:
            numbers = pa.array(range(rows.num_rows), pa.int64())
            gone = pa.array(sorted(self.replaced[name]), pa.int64())
            rows = rows.filter(pc.invert(pc.is_in(numbers, value_set=gone)))
        chosen = pa.array(sorted(customers), pa.string())
        rows = rows.filter(pc.is_in(rows["customer_id"], value_set=chosen))
        return rows if newer is None else pa.concat_tables([rows, newer])

    def _is_early(self, name: str, row: Row) -> bool:
        """Whether the row says that it was recorded before the run, and counts as a term then."""
        if name == "customers":
            since = row["acquired_at"] if row["valid_from"] is None else row["valid_from"]
            return since is None or since < self.run.as_of
        clock = ALL_TABLES[name].clock or "recorded_at"
        if max(row["recorded_at"], row[clock]) >= self.run.as_of:
            return False
        # A trial, and what was withdrawn before it began, is no term: the run does not list it.
        return name != "contracts" or self._is_term(self._as_known(name, row))

    def _is_term(self, row: Row) -> bool:
        rules = TermRules.from_settings(self.settings)
        return not rules.is_trial(row["plan"]) and row["ends_at"] > row["starts_at"]

    def _counts_again(self, name: str, row: Row) -> bool:
        """Whether the contract counts an exact duplicate: as among the rows of one request."""
        keep = self.settings.contract.exact_duplicates == "keep"
        return keep and not is_version(ALL_TABLES[name], row)

    def _as_known(self, name: str, row: Row) -> Row:
        """The row as it was known before the run's as_of."""
        before = dict(row)
        for column in ALL_TABLES[name].columns:
            if column.known_at is not None:
                known_at = row[column.known_at]
                if known_at is None or known_at >= self.run.as_of:
                    before[column.name] = None
        if name == "contracts":
            before["ends_at"] = self._known_end(before)
        return before

    def _known_end(self, row: Row) -> int:
        """The end of a term, as `features.tables.terms` reads a cancellation."""
        start, end, cancelled = row["starts_at"], row["ends_at"], row["cancelled_at"]
        rules = TermRules.from_settings(self.settings)
        if cancelled is None:
            return int(end)
        if rules.cancelled_end or end >= OPEN_END_US or cancelled < start:
            return max(start, min(end, cancelled))
        return int(end)

    def _numbers_by_cells(self, name: str, customers: set[str]) -> NumbersByCells:
        """The numbers of these customers' known rows by their cells."""
        rows = self.tables[name]
        chosen = pc.is_in(rows["customer_id"], value_set=pa.array(sorted(customers), pa.string()))
        numbers = pa.array(range(rows.num_rows), pa.int64()).filter(chosen)
        known: NumbersByCells = defaultdict(list)
        for number, row in zip(numbers.to_pylist(), rows.filter(chosen).to_pylist(), strict=True):
            known[self._cells(name, row)].append(number)
        return known

    def _cells(self, name: str, row: Row) -> tuple[object, ...]:
        return tuple(row[column] for column in self.tables[name].column_names)


def read_run_history(
    run: Lookup, settings: Settings, customers: Sequence[str], attributes: Sequence[Attribute]
) -> RunHistory:
    """The known rows of these customers in every table of the release.

    RunRefused where the run has not written a table, or the file is another one than it wrote.
    Overloaded for more than MOST_ROWS rows.
    """
    tables: dict[str, pa.Table] = {}
    total = 0
    for name in REQUEST_TABLES:
        if name not in settings.tables:
            continue
        columns = {
            column.name: ARROW_TYPES[column.type] for column in table_columns(name, attributes)
        }
        rows = read_rows_of_many(run, name, customers, list(columns), most=MOST_ROWS - total)
        if rows is None:
            raise refuse_file(f"history/{name}.parquet", "no such file")
        total += rows.num_rows
        if total > MOST_ROWS:
            raise _too_many_rows()
        tables[name] = rows.cast(pa.schema(list(columns.items())))
    return RunHistory(run, settings, tables)


def _too_many_rows() -> Overloaded:
    error = Overloaded(
        where="history",
        got="customers with too many known rows",
        rule=f"The history of a request's customers has at most {MOST_ROWS:,} rows.",
        fix="Send fewer customers per request.",
    )
    error.retry_after = 1
    return error


def refuse_other_instants(run: Lookup, settings: Settings, as_of: int) -> None:
    """Malformed for an as_of before the run's, or after what its tables can be used for."""
    at, days = rfc3339(run.as_of), settings.contract.max_staleness_days
    if as_of < run.as_of:
        raise Malformed(
            where="as_of",
            got="an instant before the run's",
            rule=f"With history run, as_of is not before that of the latest run, {at}.",
            fix="Send a later as_of, or all events of the customer without history.",
        )
    if as_of > run.as_of + days * DAY_US:
        raise Malformed(
            where="as_of",
            got="an instant long after the run's",
            rule=f"With history run, as_of lies at most {days} days (max_staleness_days) after "
            f"that of the latest run, {at}.",
            fix="Run `lifecycle score -c …` for newer tables, or send an earlier as_of.",
        )
    if settings.built_terms:
        rule = "Terms of this release are built from payments in the batch job, not from a history."
        raise malformed_error("history", "history run", rule)
