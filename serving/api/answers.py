"""Score rows as entries of an API answer: the score table's columns, instants as RFC 3339."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from features.recipes.stages import STAGES
from serving.api.entry_errors import EntryErrors
from serving.api.schemas import rfc3339
from serving.scoring.reasons import REASON_COUNT

FEW_ROWS = 8  # up to so many, reading them one by one costs less than a take
# The columns of the score table in its order, without as_of and release_id: an answer has them once
# for all entries.
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
    *(f"reason_{k + 1}" for k in range(REASON_COUNT)),
    "warnings",
)
ONCE = ("as_of", "release_id")
REFUSED = "refused"  # the error of an entry that breaks a rule, where each is answered by itself
Entry = dict[str, Any]


def entry_columns(further: Sequence[str]) -> tuple[str, ...]:
    """The columns of an entry, with the further ones after `next_stages`, as in the score table."""
    place = COLUMNS.index("next_stages") + 1
    return (*COLUMNS[:place], *further, *COLUMNS[place:])


def further_columns(names: Iterable[str]) -> tuple[str, ...]:
    """Of the columns of scores those of the curve, of value and of own targets."""
    return tuple(name for name in names if name not in (*COLUMNS, *ONCE))


def entries(scores: pa.Table) -> list[Entry]:
    """One entry per row; `error` is null where there is a score, `prospect` without activity."""
    names = entry_columns(further_columns(scores.column_names))
    return _add_error(scores.select(names).to_pylist())


def entry_structs(scores: pa.Table) -> pa.StructArray:
    """Every row as its entry without `error`, for `take_entries`; the columns are not copied.

    A column that the run does not have is null.
    """
    nothing = pa.nulls(scores.num_rows)
    names = entry_columns(further_columns(scores.column_names))
    columns = [
        scores[name].combine_chunks() if name in scores.column_names else nothing for name in names
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(names)).to_struct_array()


def take_entries(structs: pa.StructArray, rows: list[int]) -> list[Entry]:
    """The entries of these rows, in this order; as `entries(scores.take(rows))`, but faster."""
    if len(rows) <= FEW_ROWS:
        return _add_error([structs[row].as_py() for row in rows])
    return _add_error(structs.take(pa.array(rows, pa.int64())).to_pylist())


def _add_error(rows: list[Entry]) -> list[Entry]:
    for row in rows:
        row["error"] = "prospect" if row["stage"] == "prospect" else None
    return rows


def unknown_entry(customer: str, further: Sequence[str] = ()) -> Entry:
    """The entry of a customer that is not in the data: null but for the requested id."""
    return refused_entry(customer, "unknown_customer", further)


def refused_entry(customer: str | None, error: str, further: Sequence[str] = ()) -> Entry:
    """An entry without a score: null but for the requested id and the error.

    `further`: the columns of curve and targets that the other entries of the answer have.
    """
    empty: Entry = dict.fromkeys(entry_columns(further))
    return {**empty, "customer_id": customer, "warnings": [], "error": error}


def answer_each(
    scores: list[Entry], sent: Sequence[str | None], errors: EntryErrors, further: Sequence[str]
) -> list[Entry]:
    """An entry for each that was `sent`: the score, or the errors, at its place.

    `scores`: of those without errors, in their order. `further`: as in `refused_entry`.
    """
    good = iter(scores)
    result = []
    for place, customer in enumerate(sent):
        if place in errors.by_place:
            listed = {
                "decision": None,
                "errors": errors.of_entry(place),
                "error_count": len(errors.by_place[place]),
            }
            result.append({**refused_entry(customer, REFUSED, further), **listed})
        else:
            result.append({**next(good), "errors": [], "error_count": 0})
    return result


def answer(release: str, as_of: int, scores: list[Entry]) -> dict[str, Any]:
    """The body of an answer; `as_of` in µs UTC becomes RFC 3339."""
    return {"release_id": release, "as_of": rfc3339(as_of), "scores": scores}


def encode_json(value: Any) -> bytes:
    """JSON in UTF-8; ValueError for NaN, which never leaves the service."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
