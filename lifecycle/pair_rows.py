"""Features of the pairs (customer_id, as_of) of a frame."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import BadSetting, ColumnMissing, EmptyTable, LifecycleError
from features.core.settings import Settings
from features.engine import pairs_file
from features.recipes.definitions import Definitions
from features.tables.history import History


def features_of_pairs(
    history: History, settings: Settings, pairs: pa.Table, definitions: Definitions | None
) -> pa.Table:
    """The pairs in their order, their own columns first, then the feature columns of each."""
    kind = pairs.schema.field("as_of").type if "as_of" in pairs.column_names else pa.null()
    if pa.types.is_timestamp(kind):
        zone = kind.tz
        at = pairs.column_names.index("as_of")
        pairs = pairs.set_column(at, "as_of", pairs["as_of"].cast(pa.timestamp("us", zone)))
    keys = _read_pairs(pairs, settings)
    paired, _ = pairs_file.build_for_pairs(history, settings, keys, definitions=definitions)
    rows = paired.rows
    own = [name for name in pairs.column_names if name not in ("customer_id", "as_of")]
    taken = sorted(set(own) & set(rows.column_names))
    if taken:
        raise BadSetting(
            where="pairs",
            got=f"a column '{taken[0]}', which is a feature column",
            rule="The pairs' own columns have names of their own.",
            fix="Rename that column.",
        )
    keys = keys.append_column("_row", pa.array(range(keys.num_rows), pa.int64()))
    joined = keys.join(rows, ["customer_id", "as_of"], join_type="left outer").sort_by("_row")
    names = [name for name in joined.column_names if name != "_row"]
    joined = joined.select(names)
    for place, name in enumerate(own, start=2):
        joined = joined.add_column(place, name, pairs[name])
    return joined


def _read_pairs(pairs: pa.Table, settings: Settings) -> pa.Table:
    """The keys of a frame of pairs, read as strictly as a file of them."""
    for name in ("customer_id", "as_of"):
        if name not in pairs.column_names:
            raise ColumnMissing(
                where="pairs",
                got=f"no column {name}",
                rule="Pairs have the columns customer_id and as_of.",
                fix=f"Add the column {name} to the frame.",
            )
    if not pairs.num_rows:
        raise EmptyTable(
            where="pairs",
            got="0 rows",
            rule="A frame of pairs has rows.",
            fix="Pass a frame with at least one pair.",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.parquet"
        pq.write_table(pairs.select(["customer_id", "as_of"]), path)
        try:
            return pairs_file.read_pairs(path, settings)
        except LifecycleError as error:
            # There is no file for the caller: the place is the frame.
            where = error.where.replace(str(path), "pairs").replace(path.name, "pairs")
            raise type(error)(
                where=where,
                got=error.got,
                rule=error.rule,
                fix=error.fix,
                values=error.values,
            ) from None
