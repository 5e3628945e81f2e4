"""History: everything recorded, with two clocks. Known: what of it was known before an instant.

This is the only place where the past is cut. Known(as_of) holds rows with both clocks < as_of, only the latest
version of each, and hides every cell that became known later. Whatever reads Known cannot see the future.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, reduce

import duckdb
import narwhals as nw

from features.core.contract import CONTRACT, EVENT_TABLES, Table
from features.core.errors import AsOfTooLate
from features.core.instants import DAY_US, day_text, instant
from features.core.settings import Settings
from features.tables.sources import read


class Known:
    """What was known before `as_of`: lazy tables in the contract's columns, and the derived `activity`.

    `activity`: one row per customer and local day with activity, at the day's first event: customer_id, occurred_at,
    local_day, gap (µs since the activity before; null for the first), position (1 = first), from_end (1 = last),
    last_at (the customer's last activity).

    `as_of` is a number, or (in a kept plan, and where each customer has an instant of their own) the column of that
    name that every table then has.
    """

    def __init__(
        self,
        as_of: int | nw.Expr,
        tables: dict[str, nw.LazyFrame],
        activity: nw.LazyFrame | Callable[[], nw.LazyFrame],
        customers: nw.LazyFrame,
        kept: Callable[[nw.LazyFrame], nw.LazyFrame] = lambda frame: frame,
    ) -> None:
        """`activity` may be a function: it is the costly part, and then made when somebody first asks.

        `kept` computes a frame once, so that what is built on it need not be planned through it again and again.
        """
        self.as_of, self.tables, self.customers, self.kept = as_of, tables, customers, kept
        self._activity = activity

    @cached_property
    def activity(self) -> nw.LazyFrame:
        return self._activity() if callable(self._activity) else self._activity


@dataclass
class History:
    """All tables of one business in canonical order. `data_until` (µs) is the only end of data."""

    connection: duckdb.DuckDBPyConnection
    activity_table: str
    activity_kinds: tuple[str, ...]
    data_until: int
    names: tuple[str, ...]
    versioned: frozenset[str] = field(default=frozenset())
    schema: str = ""

    def as_of(self, at: int) -> Known:
        """Known before the instant `at` (µs UTC). Total for any instant; an early one knows nothing."""
        tables = {name: self.cut(name, at) for name in self.names}
        active, everybody = (
            self.qualifying(tables[self.activity_table]),
            self._customers(tables, at),
        )
        if "customers" in tables and self._undated():
            # Who has no date is known from their first event on; so is what their row says.
            tables["customers"] = tables["customers"].join(everybody, on="customer_id", how="semi")
        return Known(at, tables, lambda: self.kept(active_days(active)), everybody, self.kept)

    def qualifying(self, rows: nw.LazyFrame) -> nw.LazyFrame:
        """The rows of the activity table that are activity."""
        return rows.filter(nw.col("kind").is_in(list(self.activity_kinds)))

    def kept(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        """The frame computed once and read many times (Known is read by stages, base and every family)."""
        return nw.from_native(
            self.connection.from_arrow(frame.collect(backend="pyarrow").to_native())
        )

    def table(self, name: str) -> nw.LazyFrame:
        if self.schema:
            return nw.from_native(self.connection.sql(f"SELECT * FROM {self.schema}.{name}"))
        return nw.from_native(self.connection.table(name))

    def cut(self, name: str, at: int | nw.Expr) -> nw.LazyFrame:
        """The rows of one table as known before `at`."""
        table = CONTRACT[name]
        if table.attributes:
            since = nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
            return self.table(name).filter(since.is_null() | (since < at))
        # The version is chosen among what was recorded, and only then asked when it happened: a correction that
        # moves an event past as_of takes the old one with it.
        rows = self.table(table.name).filter(nw.col("recorded_at") < at)
        if table.name in self.versioned:
            newest = nw.col("recorded_at").max().over(*table.version_of)
            alone = (
                nw.col(table.version_of[-1]).is_null()
                if table.name == "transactions"
                else nw.lit(False)
            )
            rows = rows.filter(alone | (nw.col("recorded_at") == newest))
        if table.name == "transactions":
            rows = rows.filter(nw.col("kind") != "void")
        if table.clock != "recorded_at":
            rows = rows.filter(nw.col(table.clock) < at)
        hidden = [
            nw.when(nw.col(c.known_at) < at).then(nw.col(c.name)).alias(c.name)
            for c in table.columns
            if c.known_at
        ]
        return rows.with_columns(*hidden) if hidden else rows

    def _undated(self) -> bool:
        undated = "SELECT 1 FROM customers WHERE valid_from IS NULL AND acquired_at IS NULL LIMIT 1"
        return self.connection.execute(undated).fetchone() is not None

    def _customers(self, tables: dict[str, nw.LazyFrame], at: int) -> nw.LazyFrame:
        """Everybody known: customers from `valid_from` or `acquired_at` on (without either: from their first event)."""
        everyone = [
            rows.select("customer_id") for name, rows in tables.items() if name != "customers"
        ]
        if "customers" in self.names:
            since = nw.coalesce(nw.col("valid_from"), nw.col("acquired_at"))
            everyone.append(self.table("customers").filter(since < at).select("customer_id"))
        return reduce(lambda one, other: nw.concat([one, other]), everyone).unique()


def active_days(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Activity from qualifying events (customer_id, occurred_at, local_day): one a local day, at its first event."""
    days = rows.group_by("customer_id", "local_day").agg(nw.col("occurred_at").min())
    ordered = {"order_by": "occurred_at"}
    before = nw.col("occurred_at").shift(1).over("customer_id", **ordered)
    days = days.with_columns(
        gap=nw.col("occurred_at") - before,
        position=nw.col("occurred_at").cum_count().over("customer_id", **ordered),
        last_at=nw.col("occurred_at").max().over("customer_id"),
        of=nw.col("occurred_at").count().over("customer_id"),
    )
    return days.with_columns(from_end=nw.col("of") - nw.col("position") + 1).drop("of")


def load(settings: Settings) -> tuple[History, dict]:
    """Read every table the settings name into a History, and the counts of the reading by table."""
    intake = read(settings)
    return of(intake.connection, settings), intake.counts


def of(connection: duckdb.DuckDBPyConnection, settings: Settings) -> History:
    """A History over the contract tables in `connection`."""
    names = tuple(name for name in CONTRACT if name in settings.tables)
    run = connection.execute
    if settings.contract.data_until:
        until = instant(settings.contract.data_until, zone=settings.zone)
    else:
        clocked = [name for name in names if name in EVENT_TABLES]
        until = max(run(f"SELECT max(recorded_at) FROM {name}").fetchone()[0] for name in clocked)
    versioned = frozenset(
        name for name in names if name != "customers" and _has_versions(connection, CONTRACT[name])
    )
    return History(
        connection, settings.activity.table, tuple(settings.activity.kinds), until, names, versioned
    )


def _has_versions(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    if not table.version_of:
        return False
    named = f"WHERE {table.version_of[-1]} IS NOT NULL" if table.name == "transactions" else ""
    repeated = f"SELECT 1 FROM {table.name} {named} GROUP BY {', '.join(table.version_of)} HAVING count(*) > 1 LIMIT 1"
    return connection.execute(repeated).fetchone() is not None


def refuse_too_late(history: History, settings: Settings, at: int) -> bool:
    """Whether `at` passes the data; AsOfTooLate when it does by more than the stated staleness."""
    staleness = settings.contract.max_staleness_days
    if at > history.data_until + staleness * DAY_US:
        raise AsOfTooLate(
            where="--as-of",
            got=f"{day_text(at, zone=settings.zone)}, and the data end at "
            f"{day_text(history.data_until, zone=settings.zone)}",
            rule=f"as_of passes the data by at most {staleness} days ([contract] max_staleness_days).",
            fix="Name an earlier as_of, bring newer data, or state [contract] data_until if the data are whole until then.",
        )
    return at > history.data_until
