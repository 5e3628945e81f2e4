"""Events that were written, dated or changed after a customer had left.

Such rows lie before every as_of by their clocks, so no perturbation shows them. They show by what
sets leavers apart from stayers in the whole history:

    written back   rows of a kind stand right by the leavers' last activity, where neither
                   their earlier activities, nor the stayers' last ones, nor the weeks around have
                   them: a complaint that drives someone away comes on any day of those weeks,
                   or just before the last activity; so some must stand after it
    foretells      values in rows from long before tell who will leave: a trait of customers tells
                   a little, a final state that was copied into all rows tells nearly everything
    overwritten    values in the last rows tell who left, in rows that were written before it

Leavers: silent for LEFT_HORIZONS horizons at the end of the data. Stayers: active within one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.audit.findings import LEAK, Finding
from features.audit.ranks import auroc
from features.core.contract import CONTRACT, EVENT_TABLES
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History
from features.tables.parsing import literal

LEFT_HORIZONS = 1.5
FEW = 20  # fewer leavers, stayers or values tell nothing
NEAR_DAYS = (1.0, 3.0)
AROUND_DAYS = 15.0
# How many more leavers in a hundred have such a row near their last activity than chance, their
# own earlier activities or the stayers explain; and how many standard errors that must be.
EXCESS, ERRORS = 0.10, 5.0
FORETELLS, OVERWRITTEN = 0.80, 0.90  # AUROC, either way
# The least share of the rows near a last activity that stand after it. What drives customers away
# comes before their last activity; what is written back when they are found gone does not.
AFTER = 0.25
LAST_ROWS = 3
LAST_ROW_EXCESS = 0.25
MAX_LEVELS = 12
_CLOCKS = ("instant", "id")
_SKIPPED = ("customer_id", "valid_from", "acquired_at", "ends_at")


@dataclass(frozen=True)
class Anchors:
    """Activities, sorted by customer and instant: customer (index), at (µs), both (activities,).

    `last` (customers,): the last activity, NaN without any; `leaver`, `stayer` (customers,).
    """

    customer: np.ndarray
    at: np.ndarray
    last: np.ndarray
    leaver: np.ndarray
    stayer: np.ndarray


@dataclass(frozen=True)
class Leaving:
    """Who has left at the end of the data: ids (sorted), first activity (µs), the two masks."""

    ids: pa.Array
    first: np.ndarray
    leaver: np.ndarray
    stayer: np.ndarray


@dataclass(frozen=True)
class EventRows:
    """One table's rows: customer (index, -1 unknown), at (µs), and named masks or numbers."""

    name: str
    customer: np.ndarray
    at: np.ndarray
    table: pa.Table


def find_leavers(history: History, settings: Settings) -> Leaving:
    """Customers with activity, and who of them has left and who is active."""
    ids, anchors = _anchors(history, settings)
    first = np.full(len(ids), np.inf)
    np.minimum.at(first, anchors.customer, anchors.at)
    return Leaving(ids, first, anchors.leaver, anchors.stayer)


def find_written_back(
    history: History, settings: Settings, untested: list[str]
) -> Iterator[Finding]:
    """Findings about rows and values of every table. What cannot be checked goes to `untested`."""
    ids, anchors = _anchors(history, settings)
    if min(anchors.leaver.sum(), anchors.stayer.sum()) < FEW:
        untested.append(
            f"rows written back: under {FEW} customers who left or under {FEW} who are active"
        )
        return
    horizon = settings.churn.horizon_days * DAY_US
    for rows in _event_tables(history, ids):
        for label, mask in _levels(rows, history):
            yield from _check_near(f"{rows.name}.{label}", mask, rows, anchors)
        for label, values, is_level in _numbers(rows):
            yield from _check_values(f"{rows.name}.{label}", values, rows, anchors, horizon)
            if is_level:
                yield from _check_last_row(f"{rows.name}.{label}", values, rows, anchors)


def _anchors(history: History, settings: Settings) -> tuple[pa.Array, Anchors]:
    """(customer ids, sorted; the activities and who left)."""
    kinds = ", ".join(literal(kind) for kind in history.activity_kinds)
    rows = history.connection.execute(
        f"SELECT customer_id, occurred_at FROM {history.activity_table} "
        f"WHERE kind IN ({kinds}) ORDER BY ALL"
    ).to_arrow_table()
    ids = pc.unique(rows["customer_id"].combine_chunks())
    customer = pc.index_in(rows["customer_id"].combine_chunks(), ids).to_numpy()
    at = rows["occurred_at"].to_numpy().astype(float)
    last = np.full(len(ids), -np.inf)
    np.maximum.at(last, customer, at)
    horizon = settings.churn.horizon_days * DAY_US
    silent = history.data_until - last
    return ids, Anchors(customer, at, last, silent > LEFT_HORIZONS * horizon, silent <= horizon)


def _event_tables(history: History, ids: pa.Array) -> Iterator[EventRows]:
    """Every table with an instant per row: events, contracts, and versions of customers."""
    for name in history.names:
        if name not in (*EVENT_TABLES, "contracts", "customers"):
            continue
        clock = {"customers": "valid_from", "contracts": "starts_at"}.get(name, "occurred_at")
        table = history.connection.execute(
            f"SELECT * FROM {name} WHERE {clock} IS NOT NULL AND {clock} < {history.data_until}"
        ).to_arrow_table()
        where = pc.fill_null(pc.index_in(table["customer_id"].combine_chunks(), ids), -1)
        known = pc.greater_equal(where, 0)
        table = table.filter(known)
        if table.num_rows >= FEW:
            at = table[clock].to_numpy().astype(float)
            yield EventRows(name, where.filter(known).to_numpy(), at, table)


def _columns(rows: EventRows) -> Iterator[tuple[str, pa.ChunkedArray, bool]]:
    """(name, values, whether they are numbers) of each column that says something."""
    contract = {column.name: column.type for column in CONTRACT[rows.name].columns}
    for name in rows.table.column_names:
        values = rows.table[name]
        if name in _SKIPPED or name.startswith("local_") or contract.get(name) in _CLOCKS:
            continue
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        is_flag = pa.types.is_boolean(values.type)
        if values.null_count < len(values):
            yield name, values, not (is_text or is_flag)


def _texts(values: pa.ChunkedArray) -> list[tuple[str, np.ndarray]]:
    """The frequent levels, each with the mask of its rows."""
    counts = sorted(
        pc.value_counts(values.drop_null()).to_pylist(),
        key=lambda one: (-one["counts"], str(one["values"])),
    )
    return [
        (str(one["values"])[:40], pc.fill_null(pc.equal(values, one["values"]), False).to_numpy())
        for one in counts[:MAX_LEVELS]
        if one["counts"] >= FEW // 2
    ]


def _levels(rows: EventRows, history: History) -> Iterator[tuple[str, np.ndarray]]:
    """(label, mask) of the rows of each level of a text, a flag, or a number with few values."""
    for name, values, is_number in _columns(rows):
        if is_number and pc.count_distinct(values).as_py() > MAX_LEVELS:
            continue
        is_activity = rows.name == history.activity_table and name == "kind"
        for level, mask in _texts(values):
            if not (is_activity and level in history.activity_kinds):
                yield f"{name} = {level}", mask


def _numbers(rows: EventRows) -> Iterator[tuple[str, np.ndarray, bool]]:
    """(label, values with NaN, whether it is a level) of numbers, levels, and empty cells."""
    groups: list[tuple[str, np.ndarray]] = [("", np.ones(len(rows.at), dtype=bool))]
    if "kind" in rows.table.column_names:
        kinds = _texts(rows.table["kind"])
        groups += [(f" of {kind}", mask) for kind, mask in kinds] if len(kinds) > 1 else []
    for name, values, is_number in _columns(rows):
        if name == "kind":
            continue
        cells = (
            [(name, values.cast(pa.float64()).to_numpy())]
            if is_number
            else [(f"{name} = {level}", mask.astype(float)) for level, mask in _texts(values)]
        )
        if values.null_count:
            cells.append((f"{name} empty", values.is_null().to_numpy().astype(float)))
        for label, numbers in cells:
            for group, mask in groups:
                yield label + group, np.where(mask, numbers, np.nan), "=" in label


def _count_near(
    customer: np.ndarray,
    at: np.ndarray,
    mask: np.ndarray,
    rows: EventRows,
    days: float,
    *,
    only_after: bool = False,
) -> np.ndarray:
    """For each (customer, instant) the number of masked rows within `days`, (anchors,).

    `only_after`: of those later than the instant.
    """
    # One sortable number for customer and instant; instants of one customer span less than a slot.
    first = rows.at.min() - 10 * AROUND_DAYS * DAY_US
    slot = (max(rows.at.max(), at.max()) - first) + 20 * AROUND_DAYS * DAY_US
    keys = np.sort(rows.customer[mask] * slot + (rows.at[mask] - first))
    places = customer * slot + (np.maximum(at, first) - first)
    reach = days * DAY_US
    if only_after:
        low = np.searchsorted(keys, places, "right")
    else:
        low = np.searchsorted(keys, places - reach, "left")
    return np.searchsorted(keys, places + reach, "right") - low


def _check_near(
    where: str, mask: np.ndarray, rows: EventRows, anchors: Anchors
) -> Iterator[Finding]:
    """Whether such rows stand near the leavers' last activity more than anything explains."""
    leavers, stayers = np.flatnonzero(anchors.leaver), np.flatnonzero(anchors.stayer)
    last = anchors.last
    owner = anchors.customer
    earlier = anchors.leaver[owner] & (anchors.at < last[owner] - AROUND_DAYS * DAY_US)
    around = _count_near(leavers, last[leavers], mask, rows, AROUND_DAYS)
    for days in NEAR_DAYS:
        near = _count_near(leavers, last[leavers], mask, rows, days)
        share = float((near > 0).mean())
        after = _count_near(leavers, last[leavers], mask, rows, days, only_after=True)
        if share < EXCESS or after.sum() < AFTER * near.sum():
            continue
        of_stayers = _count_near(stayers, last[stayers], mask, rows, days) > 0
        rate = float((around - near).mean()) * days / (AROUND_DAYS - days)
        explained = {"the weeks around": 1 - np.exp(-rate), "stayers": float(of_stayers.mean())}
        if earlier.any():
            own = _count_near(owner[earlier], anchors.at[earlier], mask, rows, days) > 0
            explained["their earlier activities"] = float(own.mean())
        best = max(explained, key=lambda one: explained[one])
        other = explained[best]
        error = np.sqrt(share * (1 - share) / leavers.size + other * (1 - other) / stayers.size)
        # One success and one failure more: a share of 0 or 1 has an error too.
        floor = np.sqrt(2.0) / min(leavers.size, stayers.size)
        if share - other >= max(EXCESS, ERRORS * max(error, floor)):
            reason = (
                f"{share:.0%} of {leavers.size:,} customers who left have such a row within "
                f"{days:g} days of their last activity, where {other:.0%} would by {best}: it "
                "looks written back after they had left"
            )
            yield Finding(LEAK, "written back", where, reason, share - other)
            return


def _check_values(
    where: str, values: np.ndarray, rows: EventRows, anchors: Anchors, horizon: float
) -> Iterator[Finding]:
    """Whether values from long before, or those of the last rows, tell leavers from stayers."""
    known = ~np.isnan(values)
    last = anchors.last[rows.customer]
    count = len(anchors.last)
    early = known & (rows.at < last - horizon)
    checks = (
        ("foretells", _means(values, early, rows.customer, count), FORETELLS, "long before"),
        (
            "overwritten",
            _means(
                values,
                _last_rows(known & (rows.at <= last + DAY_US), rows, count=LAST_ROWS),
                rows.customer,
                count,
            ),
            OVERWRITTEN,
            "in the last rows",
        ),
    )
    for kind, means, limit, when in checks:
        who = (anchors.leaver | anchors.stayer) & ~np.isnan(means)
        y = anchors.leaver[who]
        if min(y.sum(), (~y).sum()) < FEW:
            continue
        figure = auroc(y, means[who])
        figure = max(figure, 1 - figure)
        # A value nearly everybody has alike cannot tell, and chance is wide among few.
        error = np.sqrt((1 / y.sum() + 1 / (~y).sum()) / 12)
        if figure >= limit and figure - 0.5 >= ERRORS * error:
            reason = (
                f"its values {when} tell customers who left from those who are active (AUROC "
                f"{figure:.3f}, a leak from {limit:.2f}): a final state may have been copied there"
            )
            yield Finding(LEAK, kind, where, reason, figure)
            return


def _check_last_row(
    where: str, values: np.ndarray, rows: EventRows, anchors: Anchors
) -> Iterator[Finding]:
    """Whether the very last row has a level that neither earlier rows nor the stayers' last have.

    `values`: 1 in rows of the level, 0 in others, NaN in rows that are not looked at.
    """
    known = ~np.isnan(values)
    last = _last_rows(known, rows, count=1)
    of_leavers = anchors.leaver[rows.customer]
    counts = [
        values[last & of_leavers],
        values[last & anchors.stayer[rows.customer]],
        values[known & ~last & of_leavers],
    ]
    if min(one.size for one in counts) < FEW:
        return
    share, of_stayers, before = (float(one.mean()) for one in counts)
    other = max(of_stayers, before)
    error = np.sqrt(share * (1 - share) / counts[0].size + other * (1 - other) / counts[1].size)
    floor = np.sqrt(2.0) / min(counts[0].size, counts[1].size)
    if share - other >= max(LAST_ROW_EXCESS, ERRORS * max(error, floor)):
        reason = (
            f"{share:.0%} of {counts[0].size:,} customers who left have it in their last row, but "
            f"{before:.0%} of their earlier rows and {of_stayers:.0%} of the last rows of active "
            "customers do: it may have been written there after they had left"
        )
        yield Finding(LEAK, "overwritten", where, reason, share - other)


def _means(values: np.ndarray, mask: np.ndarray, customer: np.ndarray, count: int) -> np.ndarray:
    """The mean of each customer's masked values, (customers,), NaN without any."""
    sums = np.bincount(customer[mask], weights=values[mask], minlength=count)
    rows = np.bincount(customer[mask], minlength=count)
    return np.where(rows > 0, sums / np.maximum(rows, 1), np.nan)


def _last_rows(mask: np.ndarray, rows: EventRows, *, count: int) -> np.ndarray:
    """The mask of each customer's `count` newest rows among the masked ones."""
    place = np.flatnonzero(mask)
    order = place[np.lexsort((rows.at[place], rows.customer[place]))]
    chosen = np.zeros(len(mask), dtype=bool)
    if order.size:
        ends = np.flatnonzero(np.append(np.diff(rows.customer[order]) != 0, True))
        end_of = np.repeat(ends, np.diff(np.append(-1, ends)))
        chosen[order[end_of - np.arange(order.size) < count]] = True
    return chosen
