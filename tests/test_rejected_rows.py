"""A rejected row is found again in its file, and `check` exits as it says."""

from __future__ import annotations

import csv
import json

import pytest

from features.core.settings import settings_from_mapping
from features.tables.history import load_history
from tests.support.command_line import lifecycle

HEAD = "customer_id,occurred_at,amount,status\n"
ROWS = ["a,2024-01-02,1,paid", "a,2024-01-03,x,paid", '"b\nb",2024-01-04,1,open', "b,never,1,paid"]


def places(folder, select, files=("t.csv",)):
    for file in files:
        (folder / file).write_text(HEAD + "\n".join(ROWS) + "\n")
    mapping = {
        "business": {"zone": "UTC"},
        "files": {file.split(".")[0]: file for file in files},
        "tables": {"transactions": select},
    }
    history, counts = load_history(settings_from_mapping(mapping, folder=folder, where="test"))
    rows = history.connection.execute("SELECT file, file_row, source_row FROM rejects").fetchall()
    return rows, [each.place for each in counts["transactions"].examples]


COLUMNS = "SELECT customer_id, occurred_at, amount"


@pytest.mark.parametrize(
    "select",
    [
        f"{COLUMNS} FROM t",
        "SELECT * FROM t",
        "FROM t",
        f"{COLUMNS} FROM t AS o WHERE o.status = 'paid'",
        f"{COLUMNS} FROM t WHERE t.status = 'paid'",
    ],
)
def test_the_row_of_the_file_is_named_whatever_the_select_leaves_out(tmp_path, select):
    rows, examples = places(tmp_path, select)
    # The header is row 1, and a cell of two lines is one row, as a spreadsheet shows it.
    assert [row[:2] for row in rows] == [("t.csv", 3), ("t.csv", 5)]
    assert examples == ["row 3 of t.csv", "row 5 of t.csv"]


def test_the_rows_of_two_files(tmp_path):
    select = f"{COLUMNS} FROM t UNION ALL BY NAME SELECT * EXCLUDE (status) FROM u"
    (tmp_path / "u.csv").write_text(HEAD)
    rows, _ = places(tmp_path, select, ("t.csv", "u.csv"))
    # The same rows stand in both files, so those of the second are duplicates.
    assert {row[:2] for row in rows} >= {("t.csv", 3), ("t.csv", 5), ("u.csv", 3), ("u.csv", 5)}


@pytest.mark.parametrize(
    "select",
    [
        "SELECT customer_id, occurred_at, max(amount) AS amount FROM t GROUP BY ALL",
        f"SELECT DISTINCT {COLUMNS.removeprefix('SELECT ')} FROM t",
        f"{COLUMNS} FROM t ORDER BY amount",
        f"{COLUMNS} FROM t JOIN (SELECT 1 AS one) ON true",
        f"WITH x AS (FROM t) {COLUMNS} FROM x",
    ],
)
def test_no_row_is_named_where_a_row_is_not_one_of_a_file(tmp_path, select):
    rows, examples = places(tmp_path, select)
    assert {row[:2] for row in rows} == {(None, None)}
    assert set(examples) == {""}


def write_business(folder, rows):
    (folder / "t.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows))
    config = folder / "lifecycle.toml"
    config.write_text(
        '[business]\nzone = "UTC"\n[files]\nt = "t.csv"\n'
        '[tables]\ntransactions = "SELECT customer_id, occurred_at, amount FROM t"\n'
    )
    return config


def test_check_exits_as_it_says(tmp_path):
    config = write_business(tmp_path, ROWS)
    out = tmp_path / "rejects.csv"
    done = lifecycle("check", "-c", config, "--json", "--rejects", out)
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert [each["name"] for each in findings] == ["data_end_long_ago", "many_rejected"]
    with out.open(newline="") as file:
        assert [row["file_row"] for row in csv.DictReader(file)] == ["3", "5"]
    assert lifecycle("check", "-c", config, "--strict").returncode == 1


def test_check_exits_with_1_where_nothing_is_left_and_says_why(tmp_path):
    config = write_business(tmp_path, ["a,never,1,paid", "b,soon,1,paid"])
    done = lifecycle("check", "-c", config)
    assert done.returncode == 1
    assert "all rejected" in done.stderr
    assert "'never'" in done.stderr
    assert "2024-03-01" in done.stderr
