"""The README is short, and what it says runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from features.core import settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short_and_names_only_commands_that_exist():
    from lifecycle import cli as door

    known = {
        command.callback.__name__.replace("_", "-") for command in door.app.registered_commands
    }
    assert len(README.splitlines()) <= 150
    named = set(re.findall(r"(?:`|^|bin/)lifecycle ([a-z]+)", README, re.M))
    rows = re.findall(r"^\| (`.*?) \|", README.split("## Commands")[1].split("##")[0], re.M)
    table = {name for row in rows for name in re.findall(r"`([a-z-]+)", row)}
    assert table == known
    assert {"init", "check", "run", "demo"} <= named <= known


def test_its_configuration_is_one_and_reads_a_file(tmp_path):
    from features.tables import history

    (tmp_path / "orders.csv").write_text("client,day,total\n007,2024-01-02 10:00,9.99\n")
    found, counts = history.load(
        settings.from_mapping(tomllib.loads(blocks("toml")[0]), folder=tmp_path, where="README")
    )
    assert counts["transactions"].kept == 1
    assert found.connection.table("transactions").fetchone()[0] == "007"


def test_its_python_runs(shop):
    scope = {}
    exec(blocks("python")[0].replace("demo/lifecycle.toml", str(shop[0] / "lifecycle.toml")), scope)
    assert len(scope["train"]) > 100


def test_its_variables_are_those_the_code_reads():
    code = "".join(
        path.read_text()
        for room in ("features", "lifecycle", "serving", "training")
        for path in (ROOT / room).rglob("*.py")
    )
    read = set(re.findall(r"environ(?:\.get\(\"([A-Z_]+)\"|\[\"([A-Z_]+)\"\](?! *=))", code))
    read = {one or other for one, other in read}
    assert read == set(re.findall(r"^\| `([A-Z_]+)`", README, re.M))


def test_its_request_is_one_that_is_accepted():
    import json

    from serving.api.schemas import parsed

    [asked] = parsed(json.loads(blocks("json")[0])).customers
    assert (asked.customer_id.read, asked.transactions[0].amount) == ("00042", 19.9)


def test_every_page_it_links_is_there():
    for page in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / page).exists(), page
