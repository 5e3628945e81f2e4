"""History: all recorded rows, with two clocks. Known: those that were known before an instant.

This is the only place where the past is cut. A row has an instant at which it happened and one at
which it was recorded. Known(as_of) has the rows for which both are < as_of, only the latest version
of each, and without the cells that became known later. Code that reads Known cannot see the future.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

import duckdb
import narwhals as nw

from features.core.contract import (
    ALL_TABLES,
    CONTRACT,
    EVENT_TABLES,
    FURTHER_TABLES,
    SWITCHED_TABLES,
    Table,
)
from features.core.errors import AsOfTooLate
from features.core.forgotten import read_forgotten
from features.core.instants import (
    DAY_US,
    day_text,
    end_text,
    instant,
    last_midnight,
    midnight_after,
)
from features.core.settings import Settings
from features.tables.data_end import lonely_end
from features.tables.freshness import last_complete_instant
from features.tables.history_store.read import read_store
from features.tables.history_store.shares import Share
from features.tables.reading.reading import FileReport
from features.tables.repeated_rows import REPEATED, may_repeat
from features.tables.sources import IN_ORDER, Reading, SourceTables, read_tables
from features.tables.terms import TermRules, with_cover
from features.tables.typed_tables import RowCounts
from features.tables.versions import has_id, latest_versions, version_key


class Known:
    """What was known before `as_of`: lazy tables in the contract's columns, and `activity`.

    activity: one row per customer and local day with activity, at the day's first event:
    customer_id, occurred_at, local_day, gap (µs since the activity before; null for the first),
    position (1 = first), from_end (1 = last), last_at (the customer's last activity). customers:
    customer_id of everybody known. as_of: µs UTC, or the column of that name, which every table
    then has: in a prepared statement, and where each customer has their own instant.
    """

    def __init__(
        self,
        as_of: int | nw.Expr,
        tables: dict[str, nw.LazyFrame],
        activity: nw.LazyFrame | Callable[[], nw.LazyFrame],
        customers: nw.LazyFrame,
        materialise: Callable[[nw.LazyFrame], nw.LazyFrame] = lambda frame: frame,
        *,
        further: Mapping[str, nw.LazyFrame] | None = None,
    ) -> None:
        """activity: the frame, or a function that makes it at its first use, because it is costly.

        materialise: computes a frame once, so that queries built on it do not compute it again.
        further: tables that no feature reads unless it is switched on (treatments, costs, leads,
        referrals), cut likewise.
        """
        self.further = dict(further or {})
        self.as_of, self.tables, self.customers, self.materialise = (
            as_of,
            tables,
            customers,
            materialise,
        )
        self._activity = activity

    @property
    def instant(self) -> int:
        """`as_of` in µs UTC, where it is a number; TypeError where it is a column."""
        if isinstance(self.as_of, nw.Expr):
            raise TypeError("as_of is a column here; one instant is needed")
        return self.as_of

    @property
    def switched(self) -> dict[str, nw.LazyFrame]:
        """Of `further` the tables that features read where they are switched on."""
        return {name: rows for name, rows in self.further.items() if name in SWITCHED_TABLES}

    @cached_property
    def activity(self) -> nw.LazyFrame:
        return self._activity() if callable(self._activity) else self._activity


@dataclass
class History:
    """All tables of one business in canonical order.

    data_until: µs, until when the data are complete. names: the tables that exist. versioned: those
    with more than one version of a row. unique_ids: those in which surely no id repeats. schema:
    of the tables in the database; '' for the default.
    newest_until: µs, the end of the newest table, which is later than data_until where a table that
    every score needs ended earlier; 0 where that is not known. terms: how `contracts` are read.
    built_terms: whether they were built from payments. further: the tables that exist and that no
    feature reads unless it is switched on. currencies: rows by currency of each table whose amounts
    are in several. files: how each file under [files] was read. columns: those of each SELECT,
    where tables have one. shares: where the tables are too large to be read together, how to read
    them one after another. forgotten: the mark of those whom this home had forgotten, and who are
    not in the tables.
    """

    connection: duckdb.DuckDBPyConnection
    activity_table: str
    activity_kinds: tuple[str, ...]
    data_until: int
    names: tuple[str, ...]
    versioned: frozenset[str] = field(default=frozenset())
    schema: str = ""
    newest_until: int = 0
    terms: TermRules = field(default_factory=TermRules)
    built_terms: bool = False
    further: tuple[str, ...] = ()
    currencies: dict[str, dict[str, int]] = field(default_factory=dict)
    files: Mapping[str, FileReport] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()
    unique_ids: frozenset[str] = field(default=frozenset())
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    forgotten: str = ""

    @property
    def switched(self) -> tuple[str, ...]:
        """Of `further` the tables that features read where they are switched on."""
        return tuple(name for name in self.further if name in SWITCHED_TABLES)

    def as_of(self, at: int) -> Known:
        """What was known before `at` (µs UTC); at an early instant all tables are empty."""
        tables = {name: self.cut(name, at) for name in self.names}
        active = self.qualifying(tables[self.activity_table])
        everybody = self.known_customers(tables, at)
        if "customers" in tables and self._has_customers_without_dates():
            # A customer without a date is known from the first event on, and so are their
            # attributes.
            tables["customers"] = tables["customers"].join(everybody, on="customer_id", how="semi")
        return Known(
            at,
            tables,
            lambda: self.materialise(active_days(active)),
            everybody,
            self.materialise,
            further={name: self.cut(name, at) for name in self.further},
        )

    def qualifying(self, rows: nw.LazyFrame) -> nw.LazyFrame:
        """The rows of the activity table that count as activity."""
        return rows.filter(nw.col("kind").is_in(list(self.activity_kinds)))

    def materialise(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        """Compute the frame once, for all the queries that are built on it."""
        return nw.from_native(
            self.connection.from_arrow(frame.collect(backend="pyarrow").to_native())
        )

    def table(self, name: str) -> nw.LazyFrame:
        """All recorded rows of one table."""
        if self.schema:
            return nw.from_native(self.connection.sql(f"SELECT * FROM {self.schema}.{name}"))
        return nw.from_native(self.connection.table(name))

    def cut(
        self, name: str, at: int | nw.Expr, *, cancelled_before: int | None = None
    ) -> nw.LazyFrame:
        """The rows of one table as known before `at` (µs UTC, or the column as_of).

        Of `contracts` the terms, with what they say about cover (`features.tables.terms`);
        cancellations from `cancelled_before` on are hidden there, if it is given.
        """
        rows = self._known_rows(name, at)
        if name != "contracts":
            return rows
        if cancelled_before is not None:
            cancelled = nw.col("cancelled_at")
            rows = rows.with_columns(
                cancelled_at=nw.when(cancelled < cancelled_before).then(cancelled)
            )
        return with_cover(rows, self.terms)

    def _known_rows(self, name: str, at: int | nw.Expr) -> nw.LazyFrame:
        """The latest known versions, without the cells that became known later."""
        table = ALL_TABLES[name]
        if table.attributes:
            since = nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
            return self.table(name).filter(since.is_null() | (since < at))
        # First the latest recorded version, then its own instant: a correction that moves an event
        # past as_of also removes the old version.
        rows = self.table(table.name).filter(nw.col("recorded_at") < at)
        if table.name in self.versioned:
            rows = latest_versions(rows, table)
        if table.name == "transactions":
            rows = rows.filter(nw.col("kind") != "void")
        if table.clock and table.clock != "recorded_at":
            rows = rows.filter(nw.col(table.clock) < at)
        hidden_until_known = [
            nw.when(nw.col(c.known_at) < at).then(nw.col(c.name)).alias(c.name)
            for c in table.columns
            if c.known_at
        ]
        return rows.with_columns(*hidden_until_known) if hidden_until_known else rows

    def _has_customers_without_dates(self) -> bool:
        query = "SELECT 1 FROM customers WHERE valid_from IS NULL AND acquired_at IS NULL LIMIT 1"
        return self.connection.execute(query).fetchone() is not None

    def known_customers(self, tables: dict[str, nw.LazyFrame], at: int | nw.Expr) -> nw.LazyFrame:
        """customer_id of everybody known before `at` (µs UTC, or the column as_of).

        Those with an event, and those whose `valid_from` or `acquired_at` is before `at`. tables:
        those of `names`, cut at `at`.
        """
        # Somebody with a trial alone is known too, though a trial is no term.
        everyone = [
            (self._known_rows(name, at) if name == "contracts" else rows).select("customer_id")
            for name, rows in tables.items()
            if name != "customers"
        ]
        if "customers" in self.names:
            since = nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
            everyone.append(self.table("customers").filter(since < at).select("customer_id"))
        return reduce(lambda one, other: nw.concat([one, other]), everyone).unique()


def active_days(rows: nw.LazyFrame) -> nw.LazyFrame:
    """`Known.activity` from qualifying events (customer_id, occurred_at, local_day).

    One row per customer and local day, at the day's first event.
    """
    days = rows.group_by("customer_id", "local_day").agg(nw.col("occurred_at").min())
    at = nw.col("occurred_at")
    days = days.with_columns(
        gap=at - at.shift(1).over("customer_id", order_by="occurred_at"),
        position=at.cum_count().over("customer_id", order_by="occurred_at"),
        last_at=nw.col("occurred_at").max().over("customer_id"),
        of=nw.col("occurred_at").count().over("customer_id"),
    )
    return days.with_columns(from_end=nw.col("of") - nw.col("position") + 1).drop("of")


def load_history(
    settings: Settings, reading: Reading = IN_ORDER
) -> tuple[History, dict[str, RowCounts]]:
    """Read every table of the settings; returns the History and the row counts by table.

    With [history] folder from there (`features.tables.history_store`), else from the files. Raises
    InputRefused or SelectRefused as `features.tables.sources.read_tables` does.
    """
    forgotten = read_forgotten().mark  # before the tables: who is forgotten meanwhile is noticed
    if settings.history.folder is None:
        tables = read_tables(settings, reading)
    else:
        tables = read_store(settings)
    return history_from_tables(tables, settings, forgotten=forgotten)


def history_from_tables(
    tables: SourceTables, settings: Settings, *, forgotten: str
) -> tuple[History, dict[str, RowCounts]]:
    """The History over tables that were read, and their row counts.

    forgotten: the mark of those whom this home had forgotten before they were read.
    """
    unique = {name for name, counts in tables.counts.items() if counts.unique_ids}
    history = history_from_connection(tables.connection, settings, unique_ids=unique)
    mixed = {
        name: counts.money.currencies
        for name, counts in tables.counts.items()
        if name in history.names and len(counts.money.currencies) > 1
    }
    columns = {name: tuple(counts.columns) for name, counts in tables.counts.items()}
    read = replace(
        history, currencies=mixed, files=tables.files, columns=columns, forgotten=forgotten
    )
    return read, tables.counts


def history_from_connection(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    data_until: int | None = None,
    unique_ids: Collection[str] = (),
) -> History:
    """A History over the contract tables in `connection`.

    The data end at `data_until` (µs UTC); where it is left out, by the settings. unique_ids: the
    tables of which it is known that no id repeats.
    """
    names = tuple(name for name in CONTRACT if name in settings.tables)
    further = tuple(name for name in FURTHER_TABLES if name in settings.tables)
    if data_until is not None:
        until = data_until
    elif settings.contract.data_until:
        until = instant(settings.contract.data_until, zone=settings.zone)
    else:
        newest = _newest_recorded(connection, [name for name in names if name in EVENT_TABLES])
        until = newest + 1  # an instant of knowledge lies after what it knows
    unique, versioned = set(), set()
    for name in (*names, *further):
        if name != "customers":
            is_unique, has_versions = _read_versions(
                connection, ALL_TABLES[name], is_unique=name in unique_ids
            )
            unique |= {name} if is_unique else set()
            versioned |= {name} if has_versions else set()
    history = History(
        connection,
        settings.activity.table,
        tuple(settings.activity.kinds),
        until,
        names,
        frozenset(versioned),
        unique_ids=frozenset(unique),
        terms=TermRules.from_settings(settings),
        built_terms=settings.built_terms,
        further=further,
    )
    complete = last_complete_instant(history, settings, until)
    return replace(history, data_until=complete, newest_until=until)


def _newest_recorded(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> int:
    """The newest recorded_at of these tables (µs), but for a few rows that stand alone far later.

    `check` names those rows; they are in the data and not known yet.
    """
    recorded = " UNION ALL ".join(f"SELECT recorded_at FROM {name}" for name in names)
    days = connection.execute(
        f"SELECT recorded_at // {DAY_US} AS day, count(*), max(recorded_at) FROM ({recorded}) "
        "GROUP BY day ORDER BY day"
    ).to_arrow_table()
    numbers, rows, newest = (column.to_numpy() for column in days.columns)
    alone = lonely_end(numbers, rows)
    return int(newest[-1] if alone is None else newest[numbers == alone.edge][0])


def _read_versions(
    connection: duckdb.DuckDBPyConnection, table: Table, *, is_unique: bool
) -> tuple[bool, bool]:
    """Whether surely no two rows have one id; whether a row has a version, or is withdrawn.

    is_unique: whether the first is known to be so.
    """
    if not table.version_of:
        return False, False
    key = ", ".join(table.version_of)
    if is_unique or not may_repeat(connection, table.name, key, where=has_id(table)):
        return True, _has_void(connection, table)
    if _has_void(connection, table):
        return False, True
    repeated = (
        f"SELECT 1 FROM {table.name} WHERE {has_id(table)} "
        f"AND hash({key}) IN (SELECT digest FROM {REPEATED}) "
        f"GROUP BY {version_key(table)} HAVING count(*) > 1 LIMIT 1"
    )
    return False, connection.execute(repeated).fetchone() is not None


def _has_void(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    if table.name != "transactions":
        return False
    void = f"SELECT 1 FROM transactions WHERE kind = 'void' AND {has_id(table)} LIMIT 1"
    return connection.execute(void).fetchone() is not None


def newest_as_of(history: History, settings: Settings, *, however_old: bool = False) -> int:
    """The instant to score where none is given: the local midnight right after the data (µs).

    Not today's where the data end earlier: what nobody has loaded yet did not fail to happen. Where
    the data are older than [contract] max_staleness_days, the last local midnight, which
    `refuse_too_late` refuses; `however_old` takes the midnight right after them all the same.
    """
    now, end = last_midnight(settings.zone), midnight_after(history.data_until, settings.zone)
    too_old = now > end + settings.contract.max_staleness_days * DAY_US
    return now if too_old and not however_old else min(now, end)


def _later_data_fix(settings: Settings, at: int) -> str:
    """What to do where the data end too early: what is configured already does not help."""
    if settings.contract.data_until is None:
        return (
            "Use an earlier as_of or newer data, or set [contract] data_until if the data are "
            "complete until then."
        )
    table, day = settings.activity.table, day_text(at, zone=settings.zone)
    return (
        "Use an earlier as_of or newer data. If the data are complete until then, write under "
        f'[contract]: fresh_until = {{ {table} = "{day}" }}, and data_until = "{day}".'
    )


def refuse_too_late(history: History, settings: Settings, at: int) -> bool:
    """Whether `at` lies after the last day of the data; AsOfTooLate beyond max_staleness_days.

    The local midnight right after the newest row does not lie after the data.
    """
    staleness = settings.contract.max_staleness_days
    last_day_ends = midnight_after(history.data_until, settings.zone)
    if at > last_day_ends + staleness * DAY_US:
        raise AsOfTooLate(
            where="as_of",
            got=f"{day_text(at, zone=settings.zone)}; the data end at "
            f"{end_text(history.data_until, zone=settings.zone)}",
            rule=f"as_of may lie at most {staleness} days after the last day of the data "
            "([contract] max_staleness_days).",
            fix=_later_data_fix(settings, at),
        )
    return at > last_day_ends
