"""The README is short, and what it says runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import lifecycle
from features.core import settings
from features.core.language import VARIABLE
from tests.support.checks import nonempty

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh.md").read_text()


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_it_is_short_and_names_only_commands_that_exist():
    from lifecycle import cli as door

    known = {
        command.callback.__name__.replace("_", "-") for command in door.app.registered_commands
    } | {group.name for group in door.app.registered_groups}
    assert len(README.splitlines()) <= 120
    named = set(re.findall(r"(?:`|^|bin/)lifecycle ([a-z]+)", README, re.M))
    rows = re.findall(r"^\| (`.*?) \|", README.split("## Commands")[1].split("##")[0], re.M)
    table = {name for row in rows for name in re.findall(r"`([a-z-]+)", row)}
    assert table == known
    assert {"init", "check", "run", "demo"} <= named <= known


def test_its_configuration_is_one_and_reads_a_file(tmp_path):
    from features.tables import history

    (tmp_path / "orders.csv").write_text("client,day,total\n007,2024-01-02 10:00,9.99\n")
    found, counts = history.load_history(
        settings.settings_from_mapping(
            tomllib.loads(blocks("toml")[0]), folder=tmp_path, where="README"
        )
    )
    assert counts["transactions"].kept == 1
    assert found.connection.table("transactions").fetchone()[0] == "007"


def test_its_python_runs(shop):
    scope = {}
    exec(blocks("python")[0].replace("demo/lifecycle.toml", str(shop[0] / "lifecycle.toml")), scope)
    assert len(scope["train"]) > 100
    assert {"overdue_at_risk", "regular"} <= set(scope["stages"]["stage_rule"])


# pyarrow reads pandas columns with a zone by a way that pandas 4 will change.
@pytest.mark.filterwarnings("ignore:Series.values returning")
@pytest.mark.slow
def test_its_python_trains_serves_and_scores(shop, home):
    folder, settings_of_shop, _ = shop
    config = folder / "quick.toml"
    text = (folder / "lifecycle.toml").read_text().replace("seconds = 10 ", "trials = 1 ")
    config.write_text(text)
    newest = f"{settings_of_shop.contract.data_until}"[:10]
    scope = {"lc": lifecycle, "shop": lifecycle.open(config)}
    text = blocks("python")[1].replace("2025-01-01", newest)
    # So few customers may be too few for skill, which the gate refuses.
    text = text.replace("shop.promote()", 'shop.promote(force="a small business")')
    assert "force" in text
    exec(text, scope)
    [rows] = home.glob("scores/as_of=*/run=*/features.parquet")
    same = scope["model"].predict(pd.read_parquet(rows))
    scores = scope["scores"].set_index("customer_id").loc[same["customer_id"]]
    assert scores["p_churn"].tolist() == same["p_churn"].tolist()


def test_its_variables_are_those_the_code_reads():
    code = "".join(
        path.read_text()
        for room in ("features", "lifecycle", "serving", "training")
        for path in (ROOT / room).rglob("*.py")
    )
    read = set(re.findall(r"environ(?:\.get\(\"([A-Z_]+)\"|\[\"([A-Z_]+)\"\](?! *=))", code))
    read = {one or other for one, other in read}
    assert read | {VARIABLE} == set(re.findall(r"^\| `([A-Z_]+)`", README, re.M))


def test_its_request_is_one_that_is_accepted():
    import json

    from serving.api.questions import parse_request

    [asked] = parse_request(json.loads(blocks("json")[0])).customers
    assert (asked.customer_id.normalized, asked.transactions[0].amount) == ("00042", 19.9)


def test_every_page_it_links_is_there():
    for page in nonempty(re.findall(r"\]\(([^)#]+)\)", README + CHINESE)):
        assert (ROOT / page).exists(), page


def test_the_chinese_one_has_the_same_commands_tables_and_links():
    assert blocks("[a-z]*", CHINESE) == nonempty(blocks("[a-z]*"))

    def headings(text):
        return [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]

    def names(text):
        """The first cell of every row of the tables."""
        return re.findall(r"^\| (`.*?) \|", text, re.M)

    def links(text):
        pages = set(re.findall(r"\]\(([^)#]+)\)", text))
        return {page.replace("README.zh.md", "README.md") for page in pages} | {"README.md"}

    assert headings(CHINESE) == headings(README)
    assert names(CHINESE) == nonempty(names(README))
    assert links(CHINESE) == links(README)
