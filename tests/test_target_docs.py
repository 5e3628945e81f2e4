"""The examples of docs/targets.md on the simulated businesses and by hand: each is a label, with
customers of both kinds.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.core.settings import load_settings
from features.core.target_schema import Target
from features.labels.targets import check_targets, observe_targets
from features.tables.history import load_history
from tests.support.checks import nonempty
from tests.support.targets import with_targets
from training.plan import make_plan

PAGE = Path(__file__).parents[1] / "docs" / "targets.md"
OF_CONTRACTS = ("upgrade", "downgrade")
OF_REFERRALS = ("refers",)


def examples():
    """name -> target of every block of the page."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    pairs = [pair for block in blocks for pair in tomllib.loads(block)["targets"].items()]
    return {name: Target.model_validate(section) for name, section in nonempty(pairs)}


EXAMPLES = examples()


def test_the_page_has_ten_examples_and_more():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - set(OF_CONTRACTS) - set(OF_REFERRALS)))
def test_an_example_labels_customers_of_a_shop(name, shop):
    _, config, history = shop
    labels = labels_of(history, config, name)
    assert 0 < labels.positive < len(labels.labels)


@pytest.mark.parametrize("name", OF_CONTRACTS)
def test_an_example_labels_customers_with_contracts(name, subscriptions):
    _, config, history = subscriptions
    labels = labels_of(history, config, name)
    # Nobody changes the plan in the simulation.
    assert (0 < labels.positive < len(labels.labels)) is (name == "upgrade")


def labels_of(history, config, name):
    config = with_targets(config, **{name: EXAMPLES[name]})
    check_targets(history, config)
    at = make_plan(history, config).evaluate[0]
    known = history.as_of(at).customers.sort("customer_id").collect(backend="pyarrow").to_native()
    return observe_targets(history, at, known["customer_id"], config)[name]


SMALL = """
[business]
archetype = "contractual"
zone = "UTC"
[files]
pay = "pay.csv"
terms = "terms.csv"
brought = "brought.csv"
[tables]
transactions = "SELECT customer_id, occurred_at, amount FROM pay"
contracts = "SELECT customer_id, starts_at, ends_at, plan, price FROM terms"
referrals = "SELECT referrer_id, referred_id, occurred_at FROM brought"
[churn]
horizon_days = 60
[contract]
data_until = "2024-06-01"
"""


@pytest.fixture
def small(tmp_path):
    """Four customers: `up` changes to a dearer plan, `down` to a cheaper one, `same` does not, and
    `brings` refers somebody.
    """
    (tmp_path / "lifecycle.toml").write_text(SMALL)
    people = ("up", "down", "same", "brings")
    days = ("2024-01-01", "2024-02-05", "2024-03-05", "2024-04-05")
    pay = ["customer_id,occurred_at,amount", *(f"{who},{day},10" for who in people for day in days)]
    (tmp_path / "pay.csv").write_text("\n".join(pay))
    terms = ["customer_id,starts_at,ends_at,plan,price"]
    for who in people:
        plans = {"up": ("monthly", "annual"), "down": ("annual", "monthly")}.get(
            who, ("monthly",) * 2
        )
        for day, end, plan in zip(
            ("2024-01-01", "2024-02-05", "2024-03-05"),
            ("2024-02-05", "2024-03-05", "2024-04-05"),
            ("monthly", *plans),
            strict=True,
        ):
            terms.append(f"{who},{day},{end},{plan},{99 if plan == 'annual' else 10}")
    (tmp_path / "terms.csv").write_text("\n".join(terms))
    (tmp_path / "brought.csv").write_text(
        "referrer_id,referred_id,occurred_at\nbrings,new,2024-02-20\nsame,old,2024-01-10\n"
    )
    return load_settings(tmp_path / "lifecycle.toml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("upgrade", ["down", "up"]), ("downgrade", ["down"]), ("refers", ["brings"])],
)
def test_an_example_by_hand(small, name, expected):
    history, _ = load_history(small)
    config = with_targets(small, **{name: EXAMPLES[name]})
    check_targets(history, config)
    at = int(np.datetime64("2024-02-01", "us").astype(int))
    assert at + config.outcome_window_us <= history.data_until
    people = pa.chunked_array([["brings", "down", "same", "up"]])
    labels = observe_targets(history, at, people, config)[name]
    assert [who for who, label in zip(people.to_pylist(), labels.labels, strict=True) if label] == (
        expected
    )
