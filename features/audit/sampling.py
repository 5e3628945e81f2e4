"""What the audit works on: the customers, the as_of, and the tables of a repeated delivery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.audit import perturbations
from features.audit.parity import AuditCase
from features.core.errors import NotEnoughData
from features.core.instants import midnight_before
from features.core.settings import Settings
from features.tables.history import History
from features.tables.sources import read_tables

MIN_ACTIVITIES = 100


def draw_customers(
    history: History, settings: Settings, rng: np.random.Generator, max_customers: int
) -> tuple[History, int, pa.Array | None]:
    """The history of at most `max_customers`, the number of all, and the ids (None: all)."""
    tables = [f"SELECT DISTINCT customer_id FROM {name}" for name in history.names]
    ids = (
        history.connection.execute(f"{' UNION '.join(tables)} ORDER BY 1")
        .to_arrow_table()["customer_id"]
        .combine_chunks()
    )
    if len(ids) <= max_customers:
        return history, len(ids), None
    drawn = ids.take(pa.array(np.sort(rng.choice(len(ids), max_customers, replace=False))))
    sample = perturbations.keep_customers(perturbations.read_tables(history), drawn)
    rebuilt = perturbations.rebuild_history(
        history, sample, threads=settings.engine.threads, memory=settings.engine.memory
    )
    return rebuilt, len(ids), drawn


def draw_from_case(case: AuditCase, rng: np.random.Generator, count: int) -> AuditCase:
    """The same as_of with `count` of its customers (all of fewer): their rows and tables alone."""
    if case.rows.num_rows <= count:
        return case
    places = pa.array(np.sort(rng.choice(case.rows.num_rows, count, replace=False)))
    rows = case.rows.take(places)
    ids = rows["customer_id"].combine_chunks()
    replayed = case.replayed and perturbations.keep_customers(case.replayed, ids)
    return replace(
        case,
        rows=rows,
        tables=perturbations.keep_customers(case.tables, ids),
        replayed=replayed,
    )


def draw_dates(
    history: History, settings: Settings, rng: np.random.Generator, dates: int
) -> list[int]:
    """Sorted as_of (µs) with activity before and after them.

    They are drawn by turns: a local midnight, any instant, the instant of a row.
    """
    kinds = ", ".join(f"'{kind}'" for kind in history.activity_kinds)
    rows = f"SELECT recorded_at FROM {history.activity_table} WHERE kind IN ({kinds}) ORDER BY 1"
    known = history.connection.execute(rows).to_arrow_table()[0].to_numpy()
    enough = known.size >= MIN_ACTIVITIES
    if not enough or known[int(known.size * 0.95)] <= known[int(known.size * 0.1)]:
        raise NotEnoughData(
            where="audit",
            got=f"{known.size:,} activities between two instants, or all recorded at once",
            rule=f"An as_of needs activity before and after it: at least {MIN_ACTIVITIES} in all.",
            fix="Add older events. If recorded_at is a load time, remove it from the SELECT.",
        )
    # The first tenth leaves too little past, the last twentieth too little future.
    low, high = known[int(known.size * 0.1)], known[int(known.size * 0.95)]
    inside, drawn = np.unique(known[(known > low) & (known <= high)]), []
    for number, at in enumerate(rng.integers(low + 1, high, dates)):
        if number % 3 == 0:
            at = max(midnight_before(int(at), settings.zone), low + 1)
        elif number % 3 == 2 and inside.size:
            at = inside[rng.integers(inside.size)]
        drawn.append(int(at))
    return sorted(set(drawn))


def read_replayed(
    history: History, settings: Settings, customers: pa.Array | None, untested: list[str]
) -> perturbations.Tables | None:
    """The tables as read from SELECTs that give every row twice; None if there are no files.

    The contract must remove the repeated rows that it promises to remove. What cannot be checked
    is added to `untested`.
    """
    selects = {
        name: _repeated_select(history, settings, name, select, untested)
        for name, select in settings.selects.items()
    }
    if not settings.files:
        untested.append("replays: the tables come from no file")
        return None
    intake = read_tables(settings.model_copy(update={"tables": {**settings.tables, **selects}}))
    try:
        names = (*history.names, *history.switched)
        tables = {name: intake.connection.table(name).to_arrow_table() for name in names}
    finally:
        intake.connection.close()
    return tables if customers is None else perturbations.keep_customers(tables, customers)


def _repeated_select(
    history: History, settings: Settings, name: str, select: str, untested: list[str]
) -> str:
    """The SELECT with every row twice, if the contract folds repeated rows of this table."""
    if name == "customers":
        untested.append("replays of customers: the contract refuses a customer with two rows")
        return select
    once = f"WITH once AS MATERIALIZED ({select.strip().rstrip(';')}) SELECT * FROM once"
    if settings.contract.exact_duplicates == "drop" or name == "contracts":
        return f"{once} UNION ALL SELECT * FROM once"
    if name == "transactions" and _has_ids(history):
        return f"{once} UNION ALL SELECT * FROM once WHERE transaction_id IS NOT NULL"
    untested.append(f'replays of {name} without an id: exact_duplicates = "keep" counts them')
    return select


def _has_ids(history: History) -> bool:
    count = "SELECT count(transaction_id) FROM transactions"
    [(ids,)] = history.connection.execute(count).fetchall()
    return bool(ids)
