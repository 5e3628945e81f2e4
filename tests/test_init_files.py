"""`lifecycle init` on files as they come: delimiters, scripts, sizes, and names in any spelling."""

from __future__ import annotations

import tomllib
import zipfile

import pytest

from features.tables.parsing import quote_identifier
from lifecycle import init
from lifecycle.init.source import split_words
from lifecycle.init.toml_page import toml_string
from lifecycle.init.value_words import KIND_WORDS
from lifecycle.init.words import SYNONYMS
from tests.support.init_data import SIMPLE, guessed, put, rows, that_matter


@pytest.mark.parametrize("between", [";", "\t", "|"])
def test_other_delimiters(tmp_path, between):
    lines = [line.replace(",", between) for line in SIMPLE]
    path = put(
        tmp_path,
        "x.tsv" if between == "\t" else "x.csv",
        between.join(["customer_id", "date", "amount"]),
        lines,
    )
    _, _, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        f"0{n}" for n in range(7)
    }


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    _, page, _, _, counts = guessed(
        tmp_path, put(tmp_path, "x.csv", "customer_id,date,amount", SIMPLE, encoding="utf-8-sig")
    )
    assert counts["transactions"].kept == 60
    assert "\ufeff" not in page


def test_names_and_values_in_any_script(tmp_path):
    head = '客户,customer_id,"Größe ""x"" \n y",Order Date,betrag total'
    path = put(
        tmp_path,
        "订单.csv",
        head,
        [f"ж{n},客户{n % 7},ü,2024-01-{1 + n % 28:02d},{n}.5" for n in range(60)],
    )
    guesses, page, _, found, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        f"客户{n}" for n in range(7)
    }
    assert 'left out: 客户, Größe "x" ? y.' in page
    assert (
        "CHECK: betrag total is used as amount only because of the last word of its name."
        in guesses["tables.transactions"]["reason"]
    )
    assert len(that_matter(page)) <= 15


@pytest.mark.parametrize(
    "name",
    [
        "transactions.csv",
        "raw.csv",
        "order.csv",
        "2024.csv",
        "parsed.csv",
        "数据.csv",
        "my orders (1).csv",
    ],
)
def test_any_file_name_gives_a_name_that_loads(tmp_path, name):
    _, _, _, _, counts = guessed(tmp_path, put(tmp_path, name, "user,timestamp,value", SIMPLE))
    assert counts["transactions"].kept == 60


def test_a_large_file_is_looked_at_in_part_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("lifecycle.init.tables.WHOLE_BYTES", 0)
    monkeypatch.setattr("lifecycle.init.tables.SAMPLE_ROWS", 20)
    guesses, _, _, _, counts = guessed(tmp_path, put(tmp_path, "x.csv", "uid,date,value", SIMPLE))
    assert "60 rows, 20 of them sampled" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].kept == 60


def test_equal_files_give_equal_pages(tmp_path, shop_files):
    for name in ("one.toml", "two.toml"):
        init.write(shop_files, tmp_path / name)
    assert (tmp_path / "one.toml").read_bytes() == (tmp_path / "two.toml").read_bytes()


# --- the words ------------------------------------------------------------------------------------
# -------------------


@pytest.mark.parametrize(
    "name",
    ["customer_id", "CustomerID", "customerId", "Customer ID", "CUSTOMER-ID", "ｃustomer id"],
)
def test_spellings_of_one_name(tmp_path, name):
    assert "".join(split_words(name)) == "customerid"
    _, _, _, _, counts = guessed(tmp_path, put(tmp_path, "x.csv", f"{name},date,amount", SIMPLE))
    assert counts["transactions"].kept == 60


def test_no_synonym_stands_for_two_roles_and_no_word_for_two_kinds():
    for table, roles in SYNONYMS.items():
        listed = [
            name
            for names in roles.values()
            for name in {"".join(split_words(name)) for name in names.split()}
        ]
        assert len(listed) == len(set(listed)), (
            f"{table}: {sorted({name for name in listed if listed.count(name) > 1})}"
        )
    for table, kinds in KIND_WORDS.items():
        listed = [word for said in kinds.values() for word in said.split()]
        assert len(listed) == len(set(listed)), table


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM b",
        'SELECT "a b" FROM c',
        'x "" y',
        "back\\slash",
        'ends "',
        '"""',
        "two\nlines",
        "\x7f\u2028ü",
        "'",
    ],
)
def test_any_text_becomes_toml_on_one_line_and_back(text):
    written = toml_string(text)
    assert "\n" not in written
    assert tomllib.loads(f"a = {written}")["a"] == text
    assert quote_identifier(text)


def test_rows_that_the_contract_rejects_raise_no_setting_for_repeated_rows(tmp_path):
    """`check` would call it a setting without effect."""
    lines = [f"c{n % 5},2024-01-{1 + n % 28:02d},{n + 1}.5,x{n}" for n in range(60)]
    nobody = [f",2024-01-01,5,y{n}" for n in range(5)]
    head = "customer_id,order_date,total,note"
    _, page, *_ = guessed(tmp_path, put(tmp_path, "orders.csv", head, lines + nobody))
    assert "exact_duplicates" not in page


def test_a_file_without_rows_among_others_is_named_and_not_used(tmp_path):
    good = put(tmp_path, "orders.csv", "customer_id,date,amount", SIMPLE)
    empty = put(tmp_path, "refunds.csv", "customer_id,date,amount", [])
    guesses, _, _, _, counts = guessed(tmp_path, good, empty)
    assert counts["transactions"].kept == 60
    assert "not used: refunds.csv: it has no rows" in guesses["files"]["reason"]


def test_of_an_archive_the_member_that_is_a_table_is_taken(tmp_path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("orders.csv", "\n".join(["customer_id,date,amount", *SIMPLE]))
        archive.writestr("readme.txt", "Exported by the shop.\nThank you.\n")
    guesses, _, _, _, counts = guessed(tmp_path, path)
    assert counts["transactions"].kept == 60
    assert "not used: export.zip#readme.txt" in guesses["files"]["reason"]
