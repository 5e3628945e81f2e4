"""A SELECT is refused where the same files could give other rows at another run, or where it does
not end; a column or a text is never taken for a function.
"""

from __future__ import annotations

import duckdb
import pytest

from features.core import errors, settings
from features.tables import history, select_rules, sources

COLUMNS = "customer_id,occurred_at,amount,now,today,random"
DAY = "2024-01-05"


def load(folder, select, columns=COLUMNS):
    rows = "".join(f"c{k},{DAY},{k}{',x' * (columns.count(',') - 2)}\n" for k in range(1, 4))
    (folder / "t.csv").write_text(f"{columns}\n{rows}")
    mapping = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv"},
        "tables": {"transactions": select},
    }
    loaded, _ = history.load_history(
        settings.settings_from_mapping(mapping, folder=folder, where="test.toml")
    )
    return loaded.connection.table("transactions").fetchall()


def with_value(value):
    return f"SELECT *, CAST({value} AS VARCHAR) AS channel FROM t"


UNSTABLE = {
    "now()": "now",
    "NOW()": "now",
    "main.now()": "now",
    "current_date": "current_date",
    "CURRENT_DATE": "current_date",
    "current_timestamp": "current_timestamp",
    "current_time": "current_time",
    "localtime": "localtime",
    "localtimestamp": "localtimestamp",
    "current_localtimestamp()": "current_localtimestamp",
    "today()": "today",
    "get_current_timestamp()": "get_current_timestamp",
    "transaction_timestamp()": "transaction_timestamp",
    "age(TIMESTAMP '2024-01-01')": "age",
    "age(TIMESTAMP '2024-01-03', TIMESTAMP '2024-01-01') + age(TIMESTAMP '2024-01-01')": "age",
    "ago(INTERVAL 1 DAY)": "ago",
    "random()": "random",
    "uuid()": "uuid",
    "gen_random_uuid()": "gen_random_uuid",
    "setseed(0.5)": "setseed",
    "nextval('numbers')": "nextval",
    "txid_current()": "txid_current",
    "list_transform([1], x -> x + random())": "random",
    "(SELECT max(now()) FROM t)": "now",
    "CASE WHEN amount > '1' THEN today() END": "today",
    "(WITH w AS (SELECT uuid() AS u) SELECT max(u) FROM w)": "uuid",
}


@pytest.mark.parametrize("value", UNSTABLE)
def test_a_value_of_the_clock_or_of_chance_is_refused_by_its_name(tmp_path, value):
    with pytest.raises(errors.SelectRefused, match=rf"a SELECT with {UNSTABLE[value]},") as refused:
        load(tmp_path, with_value(value))
    assert refused.value.rule == "The same files always give the same rows."


@pytest.mark.parametrize(
    "select",
    [
        "SELECT * FROM t TABLESAMPLE 50%",
        "SELECT * FROM t TABLESAMPLE reservoir(2) REPEATABLE (1)",
        "SELECT * FROM t USING SAMPLE 2 ROWS",
        "SELECT * FROM (SELECT * FROM t USING SAMPLE 2 ROWS)",
        "SELECT * FROM t ORDER BY random() LIMIT 2",
        "SELECT * FROM t WHERE CAST(current_setting('threads') AS INT) < 2",
        "SELECT t.* FROM t, duckdb_settings() AS s WHERE s.name = 'threads' AND s.value = '1'",
        "SELECT t.* FROM t, (SELECT * FROM duckdb_memory() LIMIT 1)",
        "SELECT * FROM t WHERE random() < 0.5",
        "SELECT * FROM t, range(DATE '2024-01-01', current_date, INTERVAL 1 DAY)",
        "SELECT * FROM query('SELECT * FROM t WHERE random() < 0.5')",
        "SELECT t.* FROM t, json_execute_serialized_sql(json_serialize_sql('SELECT random()'))",
        "FROM t UNION ALL FROM t WHERE occurred_at < now()",
    ],
)
def test_rows_by_chance_or_by_the_clock_are_refused(tmp_path, select):
    with pytest.raises(errors.SelectRefused, match="other rows at another run"):
        load(tmp_path, select)


@pytest.mark.parametrize(
    ("value", "advice"),
    [("now()", "TIMESTAMP '2024-01-31'"), ("current_date", 't."current_date"'), ("uuid()", "hash")],
)
def test_the_refusal_says_what_to_write_instead(tmp_path, value, advice):
    with pytest.raises(errors.SelectRefused) as refused:
        load(tmp_path, with_value(value))
    assert advice in refused.value.fix


@pytest.mark.parametrize(
    "value",
    [
        "now",
        "t.today",
        '"random"',
        "'now()'",
        "'SELECT random()'",
        "'current_date'",
        "upper('uuid')",
        "age(TIMESTAMP '2024-01-03', TIMESTAMP '2024-01-01')",
        "1 /* now() */",
        "{'sample': 1, 'function_name': 'now'}",
        "CASE WHEN amount = '-1' THEN error('no such amount') END",
        "strftime(TIMESTAMP '2024-01-03', '%Y')",
        "row_number() OVER (ORDER BY customer_id)",
        "+".join(["1"] * 250),
    ],
    ids=lambda text: text[:40],
)
def test_columns_texts_and_stable_functions_are_allowed(tmp_path, value):
    assert len(load(tmp_path, with_value(value))) == 3


def test_a_column_with_the_name_of_a_word_for_the_clock_is_a_column(tmp_path):
    columns = "customer_id,occurred_at,amount,Current_Date"
    assert len(load(tmp_path, with_value("current_date"), columns)) == 3
    select = (
        "SELECT s.localtimestamp AS channel, s.* FROM (SELECT *, 'x' AS localtimestamp FROM t) s"
    )
    assert len(load(tmp_path, select, columns)) == 3


def test_every_function_that_this_duckdb_calls_unstable_is_known_or_named(tmp_path):
    """A newer DuckDB may have others: then this list is to be read again."""
    connection = sources.connect(threads=1)
    unstable = {name for (name,) in connection.execute(select_rules.UNSTABLE_QUERY).fetchall()}
    assert set(select_rules.STABLE) <= unstable
    assert {"now", "random", "uuid", "nextval"} <= unstable - set(select_rules.STABLE)
    names = {
        name
        for (name,) in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()
    }
    assert set(select_rules.ALSO_UNSTABLE) <= names


ENDLESS = [
    "WITH RECURSIVE n AS (SELECT 1::BIGINT AS k UNION ALL SELECT (k + 1) % 1000 FROM n)"
    " SELECT t.*, k AS channel FROM t, n",
    "SELECT t.* FROM t, range(10000000) AS a, range(10000000) AS b WHERE a.range = -b.range - 1",
]


@pytest.mark.parametrize("select", ENDLESS, ids=["recursion", "cross join"])
def test_a_select_that_does_not_end_is_stopped_and_refused(tmp_path, monkeypatch, select):
    monkeypatch.setattr(sources, "SELECT_SECONDS", 0.5)
    with pytest.raises(errors.QueryFailed, match=r"did not end in 0\.5 seconds") as refused:
        load(tmp_path, select)
    assert "join without a condition" in refused.value.fix


def test_a_select_that_fails_in_time_keeps_its_own_reason(tmp_path):
    with pytest.raises(errors.QueryFailed, match="Could not convert") as refused:
        load(tmp_path, "SELECT customer_id::INTEGER AS customer_id FROM t")
    assert isinstance(refused.value.__cause__, duckdb.Error)
