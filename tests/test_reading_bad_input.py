"""What cannot be read is refused in one clear sentence, or its bad rows are named and left out."""

from __future__ import annotations

import gzip
import json
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.settings import settings_from_mapping
from features.tables.history import load_history
from features.tables.reading import archives, spreadsheets, structure, temporary
from features.tables.reading.text_rows import read_rows
from features.tables.sources import connect, view_file
from lifecycle import init
from tests.support.command_line import lifecycle
from tests.support.office_files import write_xlsx

HEAD = "customer_id,ordered_at,amount\n"
GOOD = "".join(f"c{n % 5},2024-01-{n + 1:02},{n}.50\n" for n in range(20))


def view(path):
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    reading = view_file(connection, "t", path)
    return reading, connection.execute("SELECT * FROM files.t").fetchall()


def refused(path, *words):
    """The error names what it got, and leaves no file behind; init says the same."""
    before = {each.name for each in path.parent.iterdir()}
    with pytest.raises(errors.InputRefused) as caught:
        view(path)
    for word in words:
        assert word in errors.owner_text(caught.value)
    assert caught.value.fix
    with pytest.raises(errors.InputRefused) as by_init:
        init.write([path], path.parent / "new.toml")
    for word in words:
        assert word in errors.owner_text(by_init.value)
    assert {each.name for each in path.parent.iterdir()} == before
    return caught.value


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


BAD_ROWS = {
    "too many cells": (HEAD + GOOD + "x,2024-02-01,1,2,3\n" + GOOD, 22, "5 cells, the header 3"),
    "too few cells": (HEAD + GOOD + "x,2024-02-01\n" + GOOD, 22, "2 cells, the header 3"),
    "an unclosed quote": (HEAD + GOOD + 'x,"2024-02-01,1\n' + GOOD, 22, "never closed"),
    "an unclosed quote that a later one would close": (
        HEAD + GOOD + 'x,"2024-02-01,1\n' + 'y,"2024-02-01",2\n' + GOOD,
        22,
        "never closed",
    ),
    "a quote inside": (HEAD + GOOD + 'x,"say "hi" now",1\n' + GOOD, 22, "must be doubled"),
    "blank lines and two lines in a cell count as a spreadsheet counts": (
        HEAD + '"a\nb",2024-01-01,1\n\n' + GOOD + "x,2024-02-01\n" + GOOD,
        24,
        "2 cells",
    ),
    "bytes that are no text": (
        (HEAD + "ü,2024-01-01,1\nä,2024-01-01,1\n").encode()
        + b"\xff\xfe,2024-01-01,1\n"
        + "ö,2024-01-01,2\né,2024-01-01,3\n".encode(),
        4,
        "bytes that are no text",
    ),
    "a NUL": (HEAD + GOOD + "x,2024-02-01,\0001\n" + GOOD, 22, "it has a NUL"),
    "a NUL in quotes": (HEAD + GOOD + 'x,2024-02-01,"\0001"\n' + GOOD, 22, "it has a NUL"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_one_bad_row_is_named_by_its_number_and_left_out(tmp_path, case):
    content, number, reason = BAD_ROWS[case]
    reading, rows = view(write(tmp_path / "orders.csv", content))
    assert [(bad.file, bad.row) for bad in reading.bad_rows.listed] == [("orders.csv", number)]
    assert reason in reading.bad_rows.listed[0].reason
    assert reading.bad_rows.count == 1
    assert reading.rows == len(rows)
    assert not [row for row in rows if row[0] == "x"]


def test_a_bad_line_of_json_is_named(tmp_path):
    lines = [json.dumps({"id": n}) for n in range(9)]
    path = write(tmp_path / "a.jsonl", "\n".join([*lines[:4], "{broken", "[1]", "", *lines[4:]]))
    reading, rows = view(path)
    assert [bad.row for bad in reading.bad_rows.listed] == [5, 6]
    assert [row[0] for row in rows] == [str(n) for n in range(9)]


def config(folder, orders="orders.csv"):
    text = (
        f'[business]\nzone = "UTC"\n[files]\norders = "{orders}"\n[tables]\ntransactions = '
        '"SELECT customer_id, ordered_at AS occurred_at, amount FROM orders"\n'
    )
    return write(folder / "lifecycle.toml", text)


def test_check_prints_and_counts_the_rows_left_out(tmp_path):
    rows = [f"c{n % 40},2024-{1 + n % 6:02}-{1 + n % 28:02},{n}\n" for n in range(400)]
    write(tmp_path / "orders.csv", HEAD + "".join(rows[:100]) + "x,1,2,3\n" + "".join(rows[100:]))
    out = lifecycle("check", "-c", config(tmp_path), home=tmp_path).stdout
    assert "400 rows are read; left out, as they cannot be read: 1" in out
    assert "row 102 of orders.csv: it has 4 cells, the header 3" in out
    answer = lifecycle("check", "--json", "-c", config(tmp_path), home=tmp_path)
    report = json.loads(answer.stdout)
    assert report["files"]["orders"]["bad_rows"] == 1
    assert report["files"]["orders"]["examples"][0]["row"] == 102
    assert report["tables"]["transactions"]["read"] == 400
    assert "rows_left_out" in [finding["name"] for finding in report["findings"]]


def test_a_rejected_row_is_named_by_its_row_below_blank_and_bad_rows(tmp_path):
    content = HEAD + "a,2024-01-01,1\n\nb,2024-01-02\nc,2024-01-03,1\nd,never,1\n"
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "one.csv", HEAD + "a,2024-01-01,1\n")
    write(tmp_path / "orders.csv", content)
    write(folder / "two.csv", content)
    write(
        tmp_path / "o.jsonl",
        '{"customer_id": "a", "ordered_at": "2024-01-01", "amount": 1}\n\n'
        '{"customer_id": "d", "ordered_at": "never", "amount": 1}\n',
    )
    names = HEAD.strip().split(",")
    write_xlsx(
        tmp_path / "b.xlsx",
        {"S": [names, ["a", "2024-01-01", 1], [], ["d", "never", 1], ["e", "2024-01-02", 1]]},
    )
    zipped(tmp_path / "z.zip", {"p.csv": "a,b\n1,2\n", "o.csv": content})
    expected = {
        "orders.csv": ("orders.csv", 6),
        "parts": ("two.csv", 6),
        "o.jsonl": ("o.jsonl", 3),
        "b.xlsx#S": ("b.xlsx#S", 4),
        "z.zip#o.csv": ("z.zip#o.csv", 6),
    }
    for entry, place in expected.items():
        mapping = {
            "business": {"zone": "UTC"},
            "files": {"orders": entry},
            "tables": {
                "transactions": "SELECT customer_id, ordered_at AS occurred_at, amount FROM orders"
            },
        }
        history, _ = load_history(settings_from_mapping(mapping, folder=tmp_path, where="t"))
        found = history.connection.execute(
            "SELECT file, file_row FROM rejects WHERE reason LIKE 'occurred%'"
        ).fetchall()
        assert found == [place], entry


PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
HTML = b"<!DOCTYPE html><html><body><table><tr><td>1</td></tr></table></body></html>"
FOREIGN = {
    "orders.csv": (b"", "an empty file"),
    "spaces.csv": (b"\xef\xbb\xbf\r\n  \r\n", "nothing but spaces"),
    "report.pdf": (PDF, "a PDF"),
    "pdf.csv": (PDF, "a PDF, though its name ends in .csv"),
    "page.xls": (HTML, "a web page or XML, though its name ends in .xls"),
    "feed.csv": (b'<?xml version="1.0"?>\n<rows/>', "a web page or XML"),
    "letter.rtf": (b"{\\rtf1 x}", "an RTF document"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(30), "a 7z archive"),
    "noise.csv": (bytes(range(256)) * 9, "a file that is no text"),
    "cut.parquet": (b"PAR1 cut off", "a damaged Parquet file"),
    "cut.gz": (gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "a damaged archive"),
    "cut.zip": (b"PK\x03\x04 cut off", "a damaged zip archive or workbook"),
    "locked.xlsx": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le"),
        "a workbook with a password",
    ),
    "old.doc": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "WordDocument".encode("utf-16-le"),
        "a Word document",
    ),
    "title.csv": ("Orders of May,,\n\n" + HEAD + GOOD, "a title in row 1"),
    "title2.csv": ("Orders of May\n" + HEAD + GOOD, "a title in row 1"),
    "equal.csv": ("id,Date,date,amount\n1,2,3,4\n", "columns of one name in row 1: 'Date', 'date'"),
    "two.csv": (
        HEAD + GOOD + "\ncustomer,city,street\n1,Bonn,Ring\n",
        "other names of columns in row 23",
    ),
    "nul.csv": (
        HEAD.replace("d", "d\0", 1) + GOOD,
        "a first row that cannot be read: it has a NUL",
    ),
    "wrong.csv": ("a,b\n" + "1,2,3\n" * 9, "9 of 9 rows that do not fit the header"),
    "cut.json": (b'[{"a": 1}, {"a": 2', "breaks off"),
    "two.json": (b'{"a": [{"x": 1}], "b": [{"y": 1}]}', "two arrays of objects: 'a' and 'b'"),
    "keys.json": (b'[{"a": 1, "A": 2}]', "two keys of one name: 'A'"),
    "none.json": (b'{"a": 1,\n "b": {"c": 2}}', "no object"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_table_is_refused_as_what_it_is(tmp_path, name):
    content, words = FOREIGN[name]
    error = refused(write(tmp_path / name, content), words, name)
    assert error.exit_code == 3


def test_a_word_document_and_a_presentation(tmp_path):
    refused(zipped(tmp_path / "a.docx", {"word/document.xml": "<x/>"}), "a Word document")
    refused(zipped(tmp_path / "a.xlsx", {"ppt/slides.xml": "<x/>"}), "a presentation, though")


NAMES = ["customer_id", "ordered_at", "amount"]
ROWS = [[f"c{n}", f"2024-01-{n + 1:02}", n] for n in range(9)]
SHEETS = {
    "two tables": ([NAMES, *ROWS, [], ["city", "street", "land"], ["Bonn", "Ring", "D"]], "row 12"),
    "side by side": ([[*NAMES, None, "city"], [*ROWS[0], None, "Bonn"]], "without a name"),
    "a title": ([["Orders 2024"], NAMES, *ROWS], "a title in row 1"),
    "a blank row above": ([[], NAMES, *ROWS], "1 blank row above the header"),
}


@pytest.mark.parametrize("case", SHEETS)
def test_sheets_that_are_no_single_table(tmp_path, case):
    rows, words = SHEETS[case]
    refused(write_xlsx(tmp_path / "book.xlsx", {"S": rows}), words)


def test_numbers_that_a_workbook_would_round_are_refused(tmp_path):
    rows = [["customer_id", "amount"], *([str(n), 1.5] for n in range(3)), [1234567890123456, 2.5]]
    refused(
        write_xlsx(tmp_path / "book.xlsx", {"S": rows}), "more than 15 digits (row 5, column 1)"
    )


def test_merged_cells_in_the_header(tmp_path):
    path = write_xlsx(tmp_path / "b.xlsx", {"S": [["who", None, "amount"], *ROWS]}, merged="A1:B1")
    refused(path, "merged cells in the header (A1:B1)")


def test_a_workbook_or_an_archive_with_several_tables_asks_for_a_name(tmp_path):
    book = write_xlsx(tmp_path / "b.xlsx", {"Orders": [NAMES, *ROWS], "People": [NAMES, *ROWS]})
    with pytest.raises(errors.QueryFailed, match=r"'Orders', 'People'.*\"b.xlsx#Orders\""):
        view(book)
    with pytest.raises(errors.QueryFailed, match=r"no sheet 'Oders'"):
        view(tmp_path / "b.xlsx#Oders")
    archive = zipped(tmp_path / "z.zip", {"a.csv": HEAD + GOOD, "b.csv": HEAD + GOOD})
    with pytest.raises(errors.QueryFailed, match=r"2 files: 'a.csv', 'b.csv'.*\"z.zip#a.csv\""):
        view(archive)
    write(tmp_path / "o.csv", HEAD + GOOD)
    with pytest.raises(errors.QueryFailed, match="Only a workbook has sheets"):
        view(tmp_path / "o.csv#Orders")


def test_init_takes_every_sheet_and_every_member(tmp_path):
    orders = [NAMES, *([f"c{n % 9}", f"2024-{1 + n % 6:02}-{1 + n % 28:02}", n] for n in range(99))]
    people = [["customer_id", "region"], *([f"c{n}", "north"] for n in range(9))]
    write_xlsx(tmp_path / "shop.xlsx", {"Orders": orders, "Customers": people})
    init.write([tmp_path / "shop.xlsx"], tmp_path / "new.toml")
    text = (tmp_path / "new.toml").read_text()
    assert 'orders = "shop.xlsx#Orders"' in text
    assert 'customers = "shop.xlsx#Customers"' in text
    answer = lifecycle("check", "-c", tmp_path / "new.toml", home=tmp_path)
    assert "99 read = 99 kept" in answer.stdout, answer.stderr


def test_a_bomb_and_a_path_that_leads_outside(tmp_path, monkeypatch):
    refused(zipped(tmp_path / "z.zip", {"../../orders.csv": HEAD}), "a path that leads outside")
    zeros = bytes(120_000_000)
    refused(zipped(tmp_path / "bomb.zip", {"a.csv": zeros}), "unpacks to", "200 times")
    refused(write(tmp_path / "bomb.gz", gzip.compress(zeros, 1)), "unpacks to")
    monkeypatch.setattr(spreadsheets, "MOST_UNPACKED", 1_000)
    refused(write_xlsx(tmp_path / "b.xlsx", {"S": [NAMES, *ROWS]}), "when it is unpacked")
    assert archives.MOST_RATIO >= 100


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "RESERVED_BYTES", 10**18)
    refused(write(tmp_path / "o.csv", (HEAD + GOOD).encode("utf-16")), "of disk in", "TMPDIR")


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(errors.QueryFailed, match=r"a link to .*nowhere.csv, which does not exist"):
        view(tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "a device or a pipe")
    (tmp_path / "good.csv").write_text(HEAD + GOOD)
    (tmp_path / "link.csv").symlink_to(tmp_path / "good.csv")
    assert view(tmp_path / "link.csv")[0].rows == 20
    mapping = {
        "files": {"t": "https://example.com/export?id=1"},
        "tables": {"transactions": "SELECT * FROM t"},
    }
    with pytest.raises(errors.InputRefused, match="Download the file"):
        load_history(settings_from_mapping(mapping, folder=tmp_path, where="t"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights(tmp_path):
    path = write(tmp_path / "o.csv", HEAD + GOOD)
    path.chmod(0)
    refused(path, "a file that you may not read")


ODD_NAMES = ["it's.csv", 'a "b".csv', "two\nlines.csv", "o[1]*.csv", "a#b.csv"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_files(tmp_path, name):
    reading, rows = view(write(tmp_path / name, HEAD + GOOD))
    assert len(rows) == reading.rows == 20


def test_odd_names_of_columns(tmp_path):
    path = write(tmp_path / "o.csv", '"a ""b""","it\'s, c","two\nlines",\n1,2,3,4\n')
    connection = connect()
    connection.execute("CREATE SCHEMA files")
    reading = view_file(connection, "t", path)
    assert reading.columns == ('a "b"', "it's, c", "two\nlines", "column3")
    names = [row[0] for row in connection.execute("DESCRIBE files.t").fetchall()]
    assert names == list(reading.columns)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"a.csv": HEAD + GOOD, "b.jsonl": '{"customer_id": 1}\n{"customer_id": 2}'}, "of 2 kinds"),
        ({"a.csv": HEAD + GOOD, "b.csv": "x,y\n1,2\n"}, "a folder of different tables"),
        ({"a.csv": HEAD + GOOD, "b.csv": ""}, "in its file 'b.csv': an empty file"),
    ],
)
def test_folders_whose_parts_do_not_belong_together(tmp_path, parts, words):
    folder = tmp_path / "orders"
    folder.mkdir()
    for name, content in parts.items():
        write(folder / name, content)
    refused(folder, words)


def by_engine(path, width):
    columns = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(width))
    rows = connect().execute(
        f"SELECT * FROM read_csv('{path}', auto_detect=false, header=true, delim=',', "
        f"quote='\"', escape='\"', columns={{{columns}}})"
    )
    return [[cell or "" for cell in row] for row in rows.fetchall()]


def row_by_row(path):
    return [cells for _, cells, _ in read_rows(path, ",")][1:]


def scanned(folder, text, width):
    path = folder / "t.csv"
    header = ",".join(f"c{n}" for n in range(width)) + "\n"
    path.write_bytes((header + text).encode())
    return path, structure.scan(path, separator=",", columns=width)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from('ab,"\n\rü'), max_size=60), width=st.integers(1, 3))
def test_what_counts_as_regular_is_read_alike_by_both_readers(tmp_path_factory, text, width):
    path, result = scanned(tmp_path_factory.mktemp("scan"), text, width)
    assert not result.regular or by_engine(path, width) == row_by_row(path)
    assert not result.regular or result.records == len(row_by_row(path)) + 1


CELL = st.text(st.sampled_from('ab,;"\n\r ü'), min_size=1, max_size=4)
TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=6)
)


@settings(max_examples=60, deadline=None)
@given(table=TABLE)
def test_whatever_stands_in_quotes_is_regular_and_comes_back(tmp_path_factory, table):
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in table]
    folder, width = tmp_path_factory.mktemp("scan"), len(table[0])
    path, result = scanned(folder, "\n".join(lines), width)
    assert result.regular
    assert by_engine(path, width) == row_by_row(path) == table
