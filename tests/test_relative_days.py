"""Composite keys and relative days come in through the SELECT alone: the example, over files
invented here.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from features.core import settings
from features.core.instants import instant
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from features.tables import history

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "subscription_relative_days.toml"
TERMS = """account,line,plan,started_on,days,cancelled_after,price,auto_renew
007,1,monthly,2024-03-20,30,,9.90,true
007,1,monthly,2024-04-19,30,,9.90,true
007,12,annual,2024-01-01,365,121,99.00,false
0071,2,annual,2024-01-01,365,,99.00,false
8,1,monthly,2024-04-10,thirty,,9.90,true
8,2,monthly,2024-04-10,30,,9.90,true
9,,monthly,2024-04-10,30,,9.90,true
"""
USAGE = """account,line,days_ago,minutes
007,1,80,5
007,12,70,3
0071,2,92,8
8,2,-3,1
8,2,75,4
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relative")
    shutil.copy(EXAMPLE, folder)
    (folder / "terms.csv").write_text(TERMS)
    (folder / "usage.csv").write_text(USAGE)
    chosen = settings.load_settings(folder / EXAMPLE.name)
    found, counts = history.load_history(chosen)
    return chosen, found, counts


def at(day: str) -> int:
    return instant(day, zone="Europe/Berlin")


def rows(found, name: str) -> list[Mapping]:
    return found.table(name).collect(backend="pyarrow").to_native().to_pylist()


def test_a_start_and_a_number_of_days_are_a_term_of_one_of_an_accounts_lines(read):
    _, found, _ = read
    terms = {(row["customer_id"], row["starts_at"]): row for row in rows(found, "contracts")}
    assert {name for name, _ in terms} == {
        "007-1",
        "007-12",
        "0071-2",
        "8-2",
    }  # ids are text: zeros stay
    assert terms["007-1", at("2024-03-20")]["ends_at"] == at(
        "2024-04-19"
    )  # midnight in Berlin, summer time or not
    assert terms["007-12", at("2024-01-01")]["cancelled_at"] == at("2024-05-01")


def test_days_before_the_export_are_instants(read):
    _, found, _ = read
    used = {(row["customer_id"], row["occurred_at"]) for row in rows(found, "interactions")}
    assert ("0071-2", at("2024-03-31")) in used
    assert ("007-1", at("2024-04-12")) in used


def test_a_cell_that_is_no_number_rejects_its_row_alone(read):
    _, _, counts = read
    terms = counts["contracts"]
    assert (terms.read, terms.kept) == (7, 5)
    assert terms.read == terms.kept + sum(terms.rejected.values())
    assert set(terms.rejected) == {"ends_at_not_an_instant", "customer_id_missing"}


def test_labels_follow(read):
    chosen, found, _ = read
    known = found.as_of(at("2024-05-01"))
    seen = observe_outcomes(
        found, known, definitions=learn_definitions(known, chosen), settings=chosen
    ).rows.to_pylist()
    # 007-1 ends on 19 May, 8-2 on 10 May; 007-12 is cancelled on 1 May, which the window begins
    # with.
    assert {row["customer_id"]: row["churned"] for row in seen} == {
        "007-1": True,
        "007-12": True,
        "0071-2": False,
        "8-2": True,
    }
