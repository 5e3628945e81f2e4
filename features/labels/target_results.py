"""What the SELECT of a target returns: its columns, and the amounts of an `amount`.

A label has one column, customer_id. An amount has two, customer_id and amount, and one row for each
customer; a customer who is not in the result has the amount 0.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ColumnMissing, DuplicateCustomers, WrongType
from features.core.target_schema import Target
from features.labels.window_database import ACTIVITY

ID, AMOUNT = "customer_id", "amount"
COLUMNS = {"label": (ID,), "amount": (ID, AMOUNT)}
# Beyond it a sum of squares would not be finite.
LARGEST = 1e15
_FIXES = {
    "label": f"Write SELECT {ID} FROM {ACTIVITY} WHERE …, or rename the column: … AS {ID}.",
    "amount": f"Write SELECT {ID}, sum(…) AS {AMOUNT} FROM {ACTIVITY} WHERE … GROUP BY {ID}.",
}
_RULES = {
    "label": f"A label is a SELECT of one column, {ID}: the customers whose label is 1.",
    "amount": f"An amount is a SELECT of two columns, {ID} and {AMOUNT}: one row for each "
    "customer; who is not in it has the amount 0.",
}


def check_columns(result: pa.Table, target: Target, where: str) -> None:
    """ColumnMissing or WrongType where these are not the columns of a label, or of an amount."""
    fix = _FIXES[target.key]
    if sorted(result.column_names) != sorted(COLUMNS[target.key]):
        raise ColumnMissing(
            where=where,
            got=f"the columns {', '.join(result.column_names)}",
            rule=_RULES[target.key],
            fix=fix,
        )
    if not pa.types.is_string(result.schema.field(ID).type):
        raise WrongType(
            where=where,
            got=f"{ID} of type {result.schema.field(ID).type}",
            rule="An id is text, as in the tables.",
            fix=fix,
        )
    if target.key == "amount" and not _is_number(result.schema.field(AMOUNT).type):
        raise WrongType(
            where=where,
            got=f"{AMOUNT} of type {result.schema.field(AMOUNT).type}",
            rule="An amount is a number.",
            fix=f"Sum or count something: sum(amount) AS {AMOUNT}, count(*) AS {AMOUNT}.",
        )


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def read_amounts(result: pa.Table, customers: pa.ChunkedArray, where: str) -> np.ndarray:
    """The amount of each of `customers`, float64 (customers,); 0 for who is not in the result.

    Rows without an id are of nobody. DuplicateCustomers where a customer has two rows, WrongType
    where an amount is null or not finite (or beyond 1e15).
    """
    rows = result.filter(pc.is_valid(result[ID]))
    ids, amounts = rows[ID].cast(pa.string()), rows[AMOUNT].cast(pa.float64())
    if twice := rows.num_rows - pc.count_distinct(ids).as_py():
        raise DuplicateCustomers(
            where=where,
            got=f"{twice:,} rows of customers who have a row already",
            rule="An amount has one row for each customer.",
            fix=f"End the SELECT with GROUP BY {ID}, and take sum(…), max(…) or count(*) AS "
            f"{AMOUNT}.",
        )
    values = amounts.to_numpy()
    bad = int(np.count_nonzero(~(np.abs(values) <= LARGEST)))
    if bad:
        raise WrongType(
            where=where,
            got=f"{bad:,} of {len(values):,} amounts that are null, infinite or no number",
            rule=f"An amount is a finite number of at most {LARGEST:g}; no purchase is 0, or no "
            "row.",
            fix=f"Write coalesce(sum(…), 0) AS {AMOUNT}, NULLIF(x, 0) where it is divided by, and "
            f"WHERE … IS NOT NULL for customers of whom nothing is known.",
        )
    place = pc.index_in(customers.combine_chunks(), value_set=ids.combine_chunks())
    known = pc.is_valid(place).to_numpy(zero_copy_only=False)
    position = pc.fill_null(place, 0).to_numpy()
    return np.where(known, values[position], 0.0) if len(values) else np.zeros(len(customers))
