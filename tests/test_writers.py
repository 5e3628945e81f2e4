"""Files for users: instants as datetimes, lists in CSV, whole files or none."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting
from features.recipes.stages import ENDLESS
from serving.batch.writers import DATETIME, with_datetimes, with_microseconds, write_table

INSTANTS = {
    "as_of": [0, 1_600_000_000_123_456, 7_258_118_399_999_999],
    "first_at": [-1, 5, 6],
    "last_at": [1, None, 3],
    "cover_until": [None, 7_258_118_399_999_999, 10],
}


def table(**columns):
    arrays = {name: pa.array(values, pa.int64()) for name, values in INSTANTS.items()}
    return pa.table({"customer_id": ["a", "b", "c"], **arrays, "n": [1, 2, 3], **columns})


def test_instants_become_datetimes_and_come_back_exactly():
    written = with_datetimes(table())
    assert {written.schema.field(name).type for name in INSTANTS} == {DATETIME}
    assert written.schema.field("n").type == pa.int64()
    assert written["last_at"].null_count == 1
    assert with_microseconds(written).equals(table())
    assert with_datetimes(written).equals(written)


def test_cover_without_an_end_becomes_null():
    endless = pa.array([ENDLESS, 10, None], pa.int64())
    written = with_datetimes(pa.table({"cover_until": endless}))
    assert written["cover_until"].is_valid().to_pylist() == [False, True, False]
    assert with_microseconds(written)["cover_until"].to_pylist() == [None, 10, None]


def test_other_types_of_a_column_named_like_an_instant_stay():
    texts = pa.table({"as_of": ["2024-01-01"]})
    assert with_datetimes(texts).equals(texts)
    assert with_microseconds(texts).equals(texts)


def test_parquet_has_lists_and_csv_joins_them(tmp_path):
    lists = pa.array([["new", "loyal"], None, []], pa.list_(pa.string()))
    for name in ("rows.parquet", "rows.csv"):
        write_table(table(next_stages=lists), tmp_path / "out" / name)
    assert (
        pq.read_table(tmp_path / "out" / "rows.parquet")["next_stages"].to_pylist()
        == lists.to_pylist()
    )
    rows = pyarrow.csv.read_csv(tmp_path / "out" / "rows.csv")
    assert rows["next_stages"].to_pylist() == ["new|loyal", "", ""]
    assert rows["as_of"].cast(DATETIME).cast(pa.int64()).to_pylist() == INSTANTS["as_of"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"rows.parquet", "rows.csv"}


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(BadSetting, match="parquet"):
        write_table(table(), tmp_path / "out" / "rows.xlsx")
    assert not (tmp_path / "out").exists()
