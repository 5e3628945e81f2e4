"""Score rows as the API says them: the batch table's names and numbers, instants as RFC 3339, and why an entry is empty."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from features.recipes.stages import STAGES
from serving.api.schemas import rfc3339
from serving.scoring.reasons import REASONS

FEW = 8  # rows up to which reading them one by one costs less than a take
# The batch table's columns in its order, but as_of and release_id: they are said once for all entries.
COLUMNS = (
    "customer_id",
    "horizon_days",
    "eligible",
    "stage",
    "stage_rule",
    "p_churn",
    "p_churn_low",
    "p_churn_high",
    "evidence",
    "stage_if_inactive",
    *(f"p_next_{stage}" for stage in STAGES),
    "next_stages",
    *(f"reason_{k + 1}" for k in range(REASONS)),
    "warnings",
)


def entries(scores: pa.Table) -> list[dict[str, Any]]:
    """One entry a row; `error` is null where there is a score, `prospect` where there was no activity yet."""
    return _marked(scores.select(COLUMNS).to_pylist())


def structs(scores: pa.Table) -> pa.StructArray:
    """Every row as its entry without `error`, for `entries_at`; the columns are shared, not copied.

    A column that an older run does not have is null.
    """
    nothing = pa.nulls(scores.num_rows)
    columns = [
        scores[name].combine_chunks() if name in scores.column_names else nothing
        for name in COLUMNS
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(COLUMNS)).to_struct_array()


def entries_at(said: pa.StructArray, rows: list[int]) -> list[dict[str, Any]]:
    """The entries of these rows, in this order. `entries(scores.take(rows))` says the same, later."""
    if len(rows) <= FEW:
        return _marked([said[row].as_py() for row in rows])
    return _marked(said.take(pa.array(rows, pa.int64())).to_pylist())


def _marked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        row["error"] = "prospect" if row["stage"] == "prospect" else None
    return rows


def unknown(customer: str) -> dict[str, Any]:
    """The entry of a customer nobody knows: null but for the id asked for."""
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    return {**empty, "customer_id": customer, "warnings": [], "error": "unknown_customer"}


def answer(release: str, as_of: int, scores: list[dict[str, Any]]) -> dict[str, Any]:
    return {"release_id": release, "as_of": rfc3339(as_of), "scores": scores}


def encoded(value: Any) -> bytes:
    """JSON in UTF-8; a NaN is an error of ours and never leaves."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
