"""What was known at one instant, in an engine of its own, in the columns that indicators read.

Customers are numbers there, so that queries compare whole numbers and no text:

    people   who, customer_id, listed (may be named in lists, [consent] list), segment
    money    who, occurred_at, local_day, month, net, earned, bought, thousandths, category
    activity who, occurred_at, local_day, month, position (1 = the customer's first)

net: minor units; of a refund minus its amount. earned: net, or where `[value] margin` reads the
column margin what is left of it; times `Value.margin_share` it is margin. bought: the row is a
purchase, and no refund. thousandths: of the quantity. month: 12 · year + month − 1, in the
business's zone. Failed payments are no money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US, local_date
from features.core.settings import Settings
from features.engine.consent import consents, states_consent
from features.labels.eligible_churn import eligible_outcomes
from features.recipes.attributes import attribute_value, is_current_version, sensitive_left_out
from features.recipes.definitions import Definitions, learn_definitions
from features.tables.history import History, Known
from features.tables.margins import margin_facts, margin_or_guess
from features.tables.net_money import moves_money, net_amount
from features.tables.sources import connect
from features.tables.terms import TermRules

YEAR_DAYS = 365
_SEGMENT = ("customer_id", "segment")
NO_MARGINS = "a margin of half of the amounts before as_of (column margin of transactions)"
NO_PURCHASE = "transactions with a purchase that was known before as_of"
_MONTH = "(year(DATE '1970-01-01' + local_day) * 12 + month(DATE '1970-01-01' + local_day) - 1)"
_MONEY = f"""
CREATE TABLE {{name}} AS
SELECT who, occurred_at, local_day, {_MONTH} AS month,
       net, earned, kind = 'purchase' AND amount >= 0 AS bought,
       CAST(round(quantity * 1000) AS BIGINT) AS thousandths, category
FROM incoming JOIN people USING (customer_id)
"""
_NO_MONEY = """
CREATE TABLE {name} (who BIGINT, occurred_at BIGINT, local_day INTEGER, month BIGINT, net BIGINT,
                     earned BIGINT, bought BOOLEAN, thousandths BIGINT, category VARCHAR)
"""


@dataclass
class IndicatorData:
    """The tables of the module's docstring at `as_of` (µs UTC), and queries over them.

    Nothing in it depends on what became known at or after `as_of`, nor on the order of rows.
    """

    history: History
    settings: Settings
    as_of: int

    @cached_property
    def known(self) -> Known:
        return self.history.as_of(self.as_of)

    @cached_property
    def definitions(self) -> Definitions:
        """What stages are decided by, learned from what was known at as_of."""
        return learn_definitions(self.known, self.settings)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        engine = self.settings.engine
        connection = connect(memory=engine.memory, threads=engine.threads)
        people = self.known.customers.select("customer_id").collect(backend="pyarrow").to_native()
        people = people.append_column("listed", self._may_be_listed(people["customer_id"]))
        load(connection, people, "CREATE TABLE _people AS SELECT * FROM incoming")
        load(connection, self._segments(), "CREATE TABLE _segments AS SELECT * FROM incoming")
        connection.execute(
            "CREATE TABLE people AS SELECT row_number() OVER (ORDER BY customer_id) - 1 AS who, "
            "customer_id, listed, segment FROM _people LEFT JOIN _segments USING (customer_id)"
        )
        self._load_money(connection, "money", self.known)
        self._load_activity(connection)
        return connection

    def close(self) -> None:
        """Free the engine, if there is one."""
        if "connection" in self.__dict__:
            self.connection.close()

    def rows(self, sql: str) -> pa.Table:
        """The rows of a query over the tables."""
        return self.connection.execute(sql).to_arrow_table()

    def value(self, sql: str) -> Any:
        """The only value of a query with one."""
        return self.rows(sql)[0][0].as_py()

    def has_table(self, name: str) -> bool:
        """Whether a table of this name was created already."""
        tables = f"SELECT count(*) FROM duckdb_tables() WHERE table_name = '{name}'"
        return bool(self.value(tables))

    def units(self, sql: str) -> str:
        """SQL for money in units of the currency from SQL for whole minor units."""
        return f"(CAST({sql} AS DOUBLE) / {10**self.settings.minor_digits})"

    @property
    def year_ago(self) -> int:
        """365 days of 24 hours before as_of, in µs."""
        return self.as_of - YEAR_DAYS * DAY_US

    @cached_property
    def first_open_month(self) -> int:
        """The first month that is not complete: its end, with label latency, is after as_of."""
        latency = self.settings.churn.label_latency_days * DAY_US
        return _month_number(self.as_of - latency, self.settings.zone)

    @cached_property
    def current_month(self) -> int:
        """The month of the last known microsecond."""
        return _month_number(self.as_of - 1, self.settings.zone)

    @cached_property
    def last_outcomes(self) -> pa.Table:
        """customer_id and churned of the customers who were eligible one outcome window ago."""
        return self.outcomes_under(self.settings)

    def outcomes_under(self, settings: Settings) -> pa.Table:
        """`last_outcomes` under settings with other days of [churn], and their window."""
        # An as_of shortly after the data counts as complete, as in all tables.
        history = replace(
            self.history,
            data_until=max(self.history.data_until, self.as_of),
            terms=TermRules.from_settings(settings),
        )
        return eligible_outcomes(
            history,
            history.as_of(self.as_of - settings.outcome_window_us),
            definitions=self.definitions,
            settings=settings,
        )

    @cached_property
    def has_purchase(self) -> bool:
        return bool(self.value("SELECT count(*) FROM money WHERE bought"))

    @cached_property
    def has_margins(self) -> bool:
        """Whether money can be told in margin: a share does so always, a column where it is."""
        if not self.settings.value.reads_margins:
            return True
        return margin_facts(self.known.tables["transactions"]).suffices

    def load_money_at(self, at: int) -> str:
        """The name of the table of money as it was known at an earlier instant (µs)."""
        name = f"money_{at}".replace("-", "before_")
        if not self.has_table(name):
            self._load_money(self.connection, name, self.history.as_of(at))
        return name

    @cached_property
    def has_segments(self) -> bool:
        return bool(self.value("SELECT count(segment) FROM people"))

    def _load_money(self, connection: duckdb.DuckDBPyConnection, name: str, known: Known) -> None:
        if "transactions" not in known.tables:
            connection.execute(_NO_MONEY.format(name=name))
            return
        columns = ("customer_id", "occurred_at", "local_day", "amount", "kind", "quantity")
        table = known.tables["transactions"]
        earned = net_amount()
        if self.settings.value.reads_margins:
            earned = margin_or_guess(margin_facts(table).share)
        rows = table.filter(moves_money())
        rows = rows.select(*columns, "category", net=net_amount(), earned=earned)
        load(connection, rows.collect(backend="pyarrow").to_native(), _MONEY.format(name=name))

    def _load_activity(self, connection: duckdb.DuckDBPyConnection) -> None:
        rows = self.known.activity.select("customer_id", "occurred_at", "local_day", "position")
        create = (
            f"CREATE TABLE activity AS SELECT who, occurred_at, local_day, {_MONTH} AS month, "
            "position FROM incoming JOIN people USING (customer_id)"
        )
        load(connection, rows.collect(backend="pyarrow").to_native(), create)

    def _customers(self) -> nw.LazyFrame | None:
        return self.known.tables.get("customers")

    def _may_be_listed(self, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether each customer may be named: everybody, unless something says who consents."""
        rows, everybody = self._customers(), pc.is_valid(ids)
        if rows is None or not self.settings.consent.list:
            return everybody
        table = rows.select("customer_id", "valid_from", "consent").collect(backend="pyarrow")
        flags = consents(table.to_native())
        if not states_consent(self.history, flags):
            return everybody
        agreed = pa.array([name for name, flag in flags.items() if flag], pa.string())
        return pc.is_in(ids, value_set=agreed)

    def _segments(self) -> pa.Table:
        """customer_id and segment, where the segment is known to have been so at as_of."""
        rows = self._customers()
        if rows is None or sensitive_left_out(("segment",), self.settings):
            return pa.table({name: pa.array([], pa.string()) for name in _SEGMENT})
        constant = "segment" in self.settings.contract.constant_attributes
        current = rows.filter(is_current_version())
        current = current.select(
            "customer_id", segment=attribute_value("segment", constant=constant)
        )
        return current.collect(backend="pyarrow").to_native()


def load(connection: duckdb.DuckDBPyConnection, rows: pa.Table, create: str) -> None:
    """Run a statement that reads the rows as the table `incoming`."""
    connection.register("incoming", rows)
    connection.execute(create)
    connection.unregister("incoming")


def exact_sum(sql: str) -> str:
    """SQL for the sum of floats from SQL for one: in millionths, so that the order says nothing."""
    return f"(CAST(sum(CAST(round(({sql}) * 1e6) AS HUGEINT)) AS DOUBLE) / 1e6)"


def month_text(number: str) -> str:
    """SQL for a month as YYYY-MM from SQL for its number."""
    return f"printf('%04d-%02d', CAST({number} AS BIGINT) // 12, CAST({number} AS BIGINT) % 12 + 1)"


def _month_number(at: int, zone: str) -> int:
    day = local_date(at, zone)
    return day.year * 12 + day.month - 1
