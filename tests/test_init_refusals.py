"""`lifecycle init` refuses what it cannot read or use, and leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.core import errors
from lifecycle import init
from tests.support.init_data import put


def refused(
    leaf: type[errors.LifecycleError], files: list[Path], out: Path, match: str
) -> errors.LifecycleError:
    before = out.read_bytes() if out.is_file() else None
    with pytest.raises(leaf, match=match) as caught:
        init.write(files, out)
    assert type(caught.value) is leaf
    assert not leaf.__subclasses__(), "an error is a leaf"
    assert all([caught.value.where, caught.value.got, caught.value.rule, caught.value.fix])
    assert (out.read_bytes() if out.is_file() else None) == before, (
        "a refused init leaves everything as it was"
    )
    assert "SECRET" not in errors.owner_text(caught.value)
    return caught.value


def test_an_existing_file_is_never_overwritten(tmp_path, shop_files):
    out = tmp_path / "lifecycle.toml"
    out.write_text("mine", encoding="utf-8")
    error = refused(errors.BadSetting, shop_files, out, "Name another --out or delete it")
    assert error.exit_code == 2


def test_a_folder_that_is_not_there(tmp_path, shop_files):
    refused(
        errors.BadSetting,
        shop_files,
        tmp_path / "no" / "lifecycle.toml",
        "a folder that does not exist",
    )


def test_files_that_are_missing_or_folders(tmp_path, shop_files):
    refused(
        errors.FileMissing,
        [*shop_files, tmp_path / "absent.csv"],
        tmp_path / "o.toml",
        "no such file",
    )
    (tmp_path / "parts").mkdir()
    refused(errors.QueryFailed, [tmp_path / "parts"], tmp_path / "o.toml", "a folder without files")


BROKEN = {
    "empty.csv": (b"", errors.QueryFailed, "an empty file"),
    "head.csv": (b"customer_id,date,amount\n", errors.EmptyTable, "no rows"),
    "blank.csv": (b"\n\n\n", errors.QueryFailed, "nothing but spaces"),
    "bytes.csv": (bytes(range(256)) * 20, errors.QueryFailed, "a file that is no text"),
    "caret.csv": (
        b"customer_id^date^amount\nSECRET^2024-01-01^3\n",
        errors.QueryFailed,
        "one single column",
    ),
    "bad.parquet": (b"PAR1 SECRET no parquet PAR1", errors.QueryFailed, "a damaged Parquet file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_cannot_be_read_are_refused_without_a_value(tmp_path, name):
    content, leaf, match = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    error = refused(leaf, [tmp_path / name], tmp_path / "o.toml", match)
    assert error.exit_code == 3
    assert name in error.where


EVENTLESS = {
    "no customer": (
        "product,date,amount",
        "SECRET,2024-01-01,3",
        "no column names the customer",
    ),
    "no time": ("customer_id,amount", "SECRET,3", "customer ids repeat"),
    "times that are none": ("customer_id,date,amount", "SECRET,later,3", "customer ids repeat"),
    "no header": ("SECRET,2024-01-01,5", "SECRET,2024-01-02,3", "no column names the customer"),
    "feedback alone": ("customer_id,date,stars", "SECRET,2024-01-01,3", "feedback"),
}


@pytest.mark.parametrize("case", EVENTLESS)
def test_files_without_events_are_refused_with_what_was_looked_for(tmp_path, case):
    head, row, said = EVENTLESS[case]
    error = refused(
        errors.ColumnMissing, [put(tmp_path, "x.csv", head, [row] * 5)], tmp_path / "o.toml", said
    )
    assert "a customer (customer_id, client_id" in error.rule
    assert error.exit_code == 3


ORDERS = [f"A{n},c{n % 5},2024-0{1 + n % 6}-{1 + n % 28:02d},{n + 1}.50" for n in range(40)]
NEARLY = {
    "amounts": ("total", [line.replace(".50", " or so") for line in ORDERS[:8]]),
    "dates": ("order_date", [line.replace("2024-0", "week ") for line in ORDERS[:30]]),
}


@pytest.mark.parametrize("case", NEARLY)
def test_a_column_that_is_nearly_a_time_or_an_amount_is_named_with_what_does_not_fit(
    tmp_path, case
):
    column, odd = NEARLY[case]
    lines = [*odd, *ORDERS[len(odd):], *(ORDERS if case == "dates" else [])]  # fmt: skip
    path = put(tmp_path, "orders.csv", "order_id,customer_id,order_date,total", lines)
    error = refused(errors.ColumnMissing, [path], tmp_path / "o.toml", f"{column} is nearly it: ")
    assert "Correct or empty the others" in error.got
    assert len(error.values) == 3
    assert all("or so" in value or "week" in value for value in error.values)


def test_a_column_that_is_not_read_for_a_few_cells_says_so(tmp_path):
    lines = [f"{line},{'x' if n == 3 else 2 if n % 10 == 0 else ''}" for n, line in
             enumerate(ORDERS)]  # fmt: skip
    head = "order_id,customer_id,order_date,total,refund_amount"
    init.write([put(tmp_path, "orders.csv", head, lines)], tmp_path / "o.toml")
    words = " ".join((tmp_path / "o.toml").read_text().replace("#", "").split())
    assert "CHECK: refund_amount is not read: 80.0% of its values are amounts" in words
    assert "others are 'x'" in words


@pytest.mark.parametrize(
    ("head", "end"),
    [
        ("id,created_at,total", ""),
        ("Id,Created at,Total,Accepts Marketing,Discount Amount", ",no,0"),
    ],
)
def test_the_key_of_a_table_of_amounts_is_never_the_customer(tmp_path, head, end):
    path = put(tmp_path, "x.csv", head, [f"{n},2024-01-{n:02d},{n}.50{end}" for n in range(1, 9)])
    with pytest.raises(errors.ColumnMissing) as refused:
        init.write([path], tmp_path / "lifecycle.toml")
    assert "no column names the customer" in refused.value.got
