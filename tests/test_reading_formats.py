"""Whatever format and encoding a business exports, the contract's tables are the same."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.settings import settings_from_mapping
from features.tables.history import load_history
from features.tables.sources import connect, read_tables, view_file
from tests.support.office_files import SheetError, write_ods, write_xls, write_xlsx

NAMES = ["customer_id", "ordered_at", "amount", "category"]
# Leading zeros, a long id, accents, separators, quotes, a line end: what readers get wrong.
ROWS = [
    ["007", "2024-01-02 10:30:00", "10.75", "Müller & Söhne"],
    ["007", "2024-02-03 00:00:00", "11.00", 'says "hi", and; more|\there'],
    ["90071992547409931234", "2024-02-29 23:59:59", "0.10", "two\nlines"],
    ["x", "2024-03-01 08:00:00", "1234.50", ""],
]
SELECT = "SELECT customer_id, ordered_at AS occurred_at, amount, category FROM orders"


def read(path, *, zone="UTC"):
    """The transactions that a configuration with this path gives, and its History."""
    config = settings_from_mapping(
        {
            "business": {"zone": zone},
            "files": {"orders": str(path)},
            "tables": {"transactions": SELECT},
        },
        folder=Path(path).parent,
        where="test",
    )
    history, _ = load_history(config)
    columns = "customer_id, occurred_at, amount, category"
    rows = history.connection.execute(f"SELECT {columns} FROM transactions ORDER BY ALL").fetchall()
    return rows, history


def text(separator=",", end="\r\n", rows=ROWS):
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if end == "\r" else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([NAMES, *rows])
    return out.getvalue()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "orders.csv"
    path.write_bytes(text().encode())
    rows, _ = read(path)
    assert len(rows) == len(ROWS)
    return rows


ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "latin-1",
    "utf-32",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(tmp_path, wanted, encoding):
    path = tmp_path / "orders.csv"
    path.write_bytes(text().encode(encoding))
    assert read(path)[0] == wanted


def test_chinese_text_of_an_older_spreadsheet(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(text(rows=[["a", "2024-01-02", "1", "天津市红桥区"]]).encode("gb18030"))
    rows, history = read(path)
    assert rows[0][3] == "天津市红桥区"
    assert "GB 18030" in " ".join(history.files["orders"].notes)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_separators_and_line_ends(tmp_path, wanted, separator, end):
    path = tmp_path / "orders.txt"
    path.write_bytes(text(separator, end).encode())
    assert read(path)[0] == wanted


def test_the_line_that_names_the_separator_for_a_spreadsheet(tmp_path, wanted):
    path = tmp_path / "orders.csv"
    path.write_bytes(b"sep=;\r\n" + text(";").encode())
    assert read(path)[0] == wanted


def objects():
    return [{name: cell for name, cell in zip(NAMES, row, strict=True) if cell} for row in ROWS]


def sheet():
    """Cells as a spreadsheet program stores them: instants and money are numbers there."""
    rows = [NAMES]
    for who, at, amount, category in ROWS:
        moment = dt.datetime.fromisoformat(at)
        day = moment.date() if moment.time() == dt.time() else moment
        rows.append([who, day, float(amount), category or None])
    return rows


def write_archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_format(folder, ending):  # noqa: C901
    path = folder / f"orders{ending}"
    plain = text().encode()
    match ending:
        case ".json":
            path.write_text(json.dumps(objects()))
        case ".object.json":
            path.write_text(json.dumps({"more": False, "list": [], "data": objects(), "n": 4.0}))
        case ".jsonl" | ".ndjson":
            path.write_text("\n".join(json.dumps(each) for each in objects()))
        case ".parquet":
            columns = [list(column) for column in zip(*ROWS, strict=True)]
            pq.write_table(pa.table(columns, names=NAMES), path)
        case ".csv.gz":
            path.write_bytes(gzip.compress(plain))
        case ".zip":
            write_archive(path, {"a/orders.csv": plain, "__MACOSX/a/._orders.csv": b"x"})
        case ".xlsx":
            write_xlsx(path, {"Orders": sheet(), "Empty": []})
        case ".ods":
            write_ods(path, {"Orders": sheet()})
        case ".xls":
            rows = [[who, at, float(amount), category] for who, at, amount, category in ROWS]
            write_xls(path, "Orders", [NAMES, *rows])
        case ".json.gz":
            path.write_bytes(gzip.compress(json.dumps(objects()).encode()))
        case ".xlsx.zip":
            write_archive(
                path, {"o.xlsx": write_xlsx(folder / "o.xlsx", {"S": sheet()}).read_bytes()}
            )
    return path


FORMATS = [
    *(".json", ".object.json", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".zip", ".xlsx", ".ods"),
    *(".xls", ".json.gz", ".xlsx.zip"),
]


@pytest.mark.parametrize("ending", FORMATS)
def test_formats(tmp_path, wanted, ending):
    rows, history = read(write_format(tmp_path, ending))
    assert rows == wanted
    assert history.files["orders"].rows == len(ROWS)


@pytest.mark.parametrize("ending", [".xlsx", ".parquet", ".json", ".csv.gz"])
def test_the_content_counts_and_not_the_ending(tmp_path, wanted, ending):
    path = write_format(tmp_path, ending).rename(tmp_path / "orders.csv")
    rows, history = read(path)
    assert rows == wanted
    assert "its ending is .csv" in " ".join(history.files["orders"].notes)


def test_a_sheet_and_a_member_are_named_after_a_hash(tmp_path, wanted):
    other = [["customer_id", "city"], ["007", "Bonn"]]
    write_xlsx(tmp_path / "b.xlsx", {"People": other, "My #1 orders": sheet()})
    assert read(tmp_path / "b.xlsx#My #1 orders")[0] == wanted
    write_archive(tmp_path / "z.zip", {"people.csv": "a,b\n1,2\n", "x/orders.csv": text()})
    assert read(tmp_path / "z.zip#orders.csv")[0] == wanted
    assert read(tmp_path / "z.zip#x/orders.csv")[0] == wanted


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(len(ROWS))), cut=st.integers(1, len(ROWS) - 1))
def test_parts_of_a_folder_in_any_order(wanted, order, cut):
    """How rows are dealt to files, and how the files are called, changes nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "orders"
        folder.mkdir()
        shuffled = [ROWS[place] for place in order]
        (folder / "b.csv").write_text(text(rows=shuffled[:cut]))
        swapped = [[row[2], row[0], row[3], row[1]] for row in shuffled[cut:]]
        with (folder / "a.csv").open("w", newline="") as file:
            csv.writer(file, delimiter=";").writerows(
                [["amount", "customer_id", "category", "ordered_at"], *swapped]
            )
        (folder / ".hidden").write_text("x")
        (folder / "_SUCCESS").write_text("")
        assert read(folder)[0] == wanted


def test_a_column_that_only_some_parts_have_is_empty_in_the_others(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "1.csv").write_text("customer_id,ordered_at,amount,category\na,2024-01-01,1,x\n")
    (folder / "2.csv").write_text("customer_id,ordered_at,amount\na,2024-01-02,1\n")
    rows, _ = read(folder)
    assert [row[3] for row in rows] == ["x", None]


def cells(path):
    """Columns and rows of the view, as text."""
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    view_file(connection, "t", path)
    frame = connection.execute("SELECT * FROM files.t")
    return [each[0] for each in frame.description], frame.fetchall()


def test_cells_of_a_sheet_become_text_that_a_strict_reader_understands(tmp_path):
    row = [12, 12.5, True, dt.date(2024, 3, 1), dt.datetime(2024, 3, 1, 10, 20, 30), "0012", None]
    names = ["whole", "part", "flag", "day", "time", "id", "none", "error", "long"]
    path = write_xlsx(
        tmp_path / "b.xlsx", {"S": [names, [*row, SheetError("#N/A"), 123456789012345]]}
    )
    assert cells(path) == (
        names,
        [
            (
                *("12", "12.5", "true", "2024-03-01", "2024-03-01 10:20:30", "0012", None),
                *("#N/A", "123456789012345"),
            )
        ],
    )


def test_numbers_in_json_keep_their_digits_and_nested_values_their_json(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": 12345678901234567891, "price": 10.10, "e": 1e5, "ok": true, "none": null}\n'
        '{"id": "007", "lines": [{"sku": "a\\"b", "price": 1.50}], "who": {"name": "é"}}\n'
    )
    names, rows = cells(path)
    assert names == ["id", "price", "e", "ok", "none", "lines", "who"]
    assert rows[0] == ("12345678901234567891", "10.10", "1e5", "true", None, None, None)
    assert rows[1][5:] == ('[{"sku": "a\\"b", "price": 1.50}]', '{"name": "é"}')


def test_json_that_is_longer_than_a_piece(tmp_path):
    many = [{"id": number, "text": "x" * 1000} for number in range(3000)]
    for path, content in (
        (tmp_path / "a.json", json.dumps(many)),
        (tmp_path / "o.json", json.dumps({"data": many}, indent=1)),
    ):
        path.write_text(content)
        _, rows = cells(path)
        assert [row[0] for row in rows] == [str(number) for number in range(3000)]


def test_converted_files_are_private_and_go_with_the_connection(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes(text().encode("utf-16"))
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    reading = view_file(connection, "t", path)
    (converted,) = reading.sql.paths
    folder = converted.parent
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(converted).st_mode) == 0o600
    assert connection.execute("SELECT count(*) FROM files.t").fetchone() == (len(ROWS),)
    del connection
    assert not folder.exists()
    _, history = read(path)
    assert history.names == ("transactions",)
    assert not list(Path(tempfile.gettempdir()).glob("lifecycle-files-*/*.txt"))


def test_a_converted_file_stays_readable_where_somebody_needs_it(tmp_path):
    """The audit reads the files once more, also those that had to be converted."""
    path = tmp_path / "orders.csv"
    text = "\n".join([",".join(NAMES), "007,2024-01-02 10:30:00,10.75,x"])
    path.write_text(text + "\n", encoding="utf-16")
    config = settings_from_mapping(
        {
            "business": {"zone": "UTC"},
            "files": {"orders": str(path)},
            "tables": {"transactions": SELECT},
        },
        folder=tmp_path,
        where="test",
    )
    tables = read_tables(config, keep_converted=True)
    assert tables.connection.execute("SELECT customer_id FROM files.orders").fetchall() == [
        ("007",)
    ]
    tables.connection.close()
