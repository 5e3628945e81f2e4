"""The money that came within each of several horizons: the labels of lifetime value.

Without contracts it is what a customer paid, less what was given back, or on wish what is left of
it after what was sold is paid for (the column margin of transactions). With contracts it is the
price of the days on which the customer had cover, so that a year paid at once counts a day at a
time. Each horizon follows the rules of the labels: it happened in the window and was recorded
before the window's end and the label latency, as one knew it then.
"""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.labels.event_times import with_horizon
from features.labels.outcome_window import OutcomeWindow
from features.labels.outcomes import is_mature
from features.tables.history import History, Known
from features.tables.margins import margin_facts
from features.tables.net_money import moves_money, net_amount, net_margin
from features.tables.terms import OPEN_END_US

PARTS = 1000  # parts of a minor unit: whole numbers add up to the same in any order


def money_column(days: int) -> str:
    """The column of examples with the money within so many days, in units of the currency."""
    return f"money_within_{days}d"


def observe_money(
    history: History,
    known: Known,
    customers: pa.ChunkedArray,
    settings: Settings,
    *,
    in_margin: bool = False,
) -> np.ndarray:
    """The money within each of `Settings.money_horizons`: float64 (customers, horizons).

    In units of the currency, 0 for who paid nothing, negative where more was given back. NaN where
    the window (label latency included) is longer than the data, and where no table has money.
    `known`: what was known at one instant; `customers`: the ids with a row there. `in_margin`: of
    each row its margin; NaN where fewer than half of the amounts of the window have one.
    """
    horizons = settings.money_horizons
    money = np.full((len(customers), len(horizons)), np.nan)
    table = "contracts" if settings.contractual else "transactions"
    if table not in history.names:
        return money
    for position, days in enumerate(horizons):
        part = with_horizon(settings, days)
        if not is_mature(known.instant, history=history, settings=part):
            continue
        window = OutcomeWindow.after(known.instant, part)
        if in_margin:
            amounts = _left(history, window)
        else:
            sums = _accrued(history, window) if settings.contractual else _paid(history, window)
            amounts = sums.collect(backend="pyarrow").to_native()
        if amounts is not None:
            money[:, position] = _of_customers(amounts, customers) / 10**settings.minor_digits
    return money


def with_money_columns(rows: pa.Table, money: np.ndarray, horizons: Sequence[int]) -> pa.Table:
    """The rows with one column for each horizon: float64, null where it is not known yet."""
    for position, days in enumerate(horizons):
        column = pa.array(money[:, position], from_pandas=True)
        rows = rows.append_column(money_column(days), column)
    return rows


def money_matrix(rows: pa.Table, horizons: Sequence[int]) -> np.ndarray:
    """The inverse of `with_money_columns`: float64 (rows, horizons)."""
    return np.column_stack([rows[money_column(days)].to_numpy() for days in horizons])


def _paid(history: History, window: OutcomeWindow) -> nw.LazyFrame:
    """customer_id and `money` in minor units: purchases less refunds of the window."""
    rows = history.cut("transactions", window.known_until)
    rows = rows.filter(window.contains("occurred_at"), moves_money())
    return rows.group_by("customer_id").agg(money=net_amount().sum().cast(nw.Float64))


def _left(history: History, window: OutcomeWindow) -> pa.Table | None:
    """customer_id and `money` in minor units: the margin of the rows of the window.

    A row without one counts with its amount times the share that margins are of amounts in all rows
    known when the window closed. None where fewer than half of the amounts of the window have one.
    """
    known = history.cut("transactions", window.known_until)
    rows = known.filter(window.contains("occurred_at"), moves_money())
    if not margin_facts(rows).suffices:
        return None
    share = margin_facts(known).share
    margin = net_margin()
    without = nw.when(margin.is_null()).then(net_amount()).otherwise(nw.lit(0))
    sums = rows.group_by("customer_id").agg(
        margin=nw.coalesce(margin, nw.lit(0)).sum().cast(nw.Float64),
        amount=without.sum().cast(nw.Float64),
    )
    table = sums.collect(backend="pyarrow").to_native()
    guessed = pc.multiply(table["amount"], 0.0 if share is None else share)
    return table.select(["customer_id"]).append_column("money", pc.add(table["margin"], guessed))


def _accrued(history: History, window: OutcomeWindow) -> nw.LazyFrame:
    """customer_id and `money` in minor units: price × days with cover in the window / term days.

    Of terms with a price and an end; a renewal that could not be known is not counted.
    """
    rows = history.cut("contracts", window.known_until)
    starts, ends, price = nw.col("starts_at"), nw.col("ends_at"), nw.col("price")
    begin = nw.max_horizontal(starts, nw.lit(window.begin))
    end = nw.min_horizontal(ends, nw.lit(window.end))
    share = (end - begin).cast(nw.Float64) / (ends - starts).cast(nw.Float64)
    rows = rows.filter(ends < OPEN_END_US, end > begin, ~price.is_null())
    rows = rows.with_columns(parts=(price.cast(nw.Float64) * share * PARTS).round(0))
    total = nw.col("parts").cast(nw.Int64).sum().cast(nw.Float64)
    return rows.group_by("customer_id").agg(money=total / PARTS)


def _of_customers(amounts: pa.Table, customers: pa.ChunkedArray) -> np.ndarray:
    """The money of each customer (customers,); 0 for who has none."""
    places = pc.index_in(customers, value_set=amounts["customer_id"].combine_chunks())
    return pc.fill_null(amounts["money"].take(places), 0.0).to_numpy()


def money_known_before(
    money: np.ndarray,
    as_of: np.ndarray,
    horizons: Sequence[int],
    *,
    latency_days: int,
    at: int,
) -> np.ndarray:
    """The money (rows, horizons) as it was known at the instant `at` (µs); else NaN."""
    closes = as_of[:, None] + (np.array(horizons) + latency_days)[None, :] * DAY_US
    return np.where(closes <= at, money, np.nan)
