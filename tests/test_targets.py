"""Labels of a business's own targets: only the rows of the outcome window count, and a SELECT that
cannot be a label is refused by its place.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US
from features.core.settings import load_settings
from features.labels.outcome_window import OutcomeWindow
from features.labels.outcomes import observe_outcomes
from features.labels.targets import check_targets, observe_targets, quote_window
from features.recipes.definitions import learn_definitions
from serving.scoring.curve_columns import curve_columns
from tests.support.command_line import run_here
from tests.support.targets import GONE, SPENDS, scramble_outside, with_targets
from tests.support.worlds import read_tables, rebuild_history, shuffle_rows
from training.plan import make_plan

TOML = '[files]\nx = "x.csv"\n[tables]\ntransactions = "SELECT 1"\n\n'


def observed(history, config, at):
    definitions = learn_definitions(history.as_of(at), config)
    known = history.as_of(at)
    return observe_outcomes(history, known, definitions=definitions, settings=config).rows


CURVES = [
    name.removeprefix("p_")
    for archetype in ("contractual", "non-contractual")
    for name in curve_columns(
        {
            "time": {"horizons_days": [7, 365]},
            "churn": {"horizon_days": 60},
            "business": {"archetype": archetype},
        }
    )
    if name.startswith("p_")
]


@pytest.mark.parametrize("name", sorted({*CURVES, "churn", "churn_low", "next_loyal", "p"}))
def test_a_name_that_would_take_a_column_of_the_curve_is_refused(name, tmp_path):
    (tmp_path / "x.toml").write_text(
        f'{TOML}[targets.{name}]\nlabel = "SELECT customer_id FROM window"'
    )
    with pytest.raises(errors.BadSetting, match="exists already"):
        load_settings(tmp_path / "x.toml")


def test_a_target_that_says_no_activity_has_the_labels_of_churn(shop):
    _, config, history = shop
    config = with_targets(config, gone=GONE)
    for at in make_plan(history, config).refit:
        churn = observed(history, config, at)
        labels = observe_targets(history, at, churn["customer_id"], config)["gone"]
        assert labels.labels.tolist() == churn["churned"].to_pylist()
        assert 0 < labels.positive < churn.num_rows
        assert (labels.new, labels.blank) == (0, 0)


@given(amount=st.integers(1, 10**6), days=st.integers(0, 200))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_other_pasts_and_other_futures_change_no_label(shop, amount, days):
    _, config, history = shop
    config = with_targets(
        config,
        spends=SPENDS,
        quantity="SELECT customer_id FROM window WHERE category = 'rental' OR amount > 50",
        unhappy="SELECT customer_id FROM window.feedback WHERE kind = 'complaint' OR score <= 2",
    )
    at = make_plan(history, config).evaluate[0] - days * DAY_US
    people = observed(history, config, at)["customer_id"]
    window = OutcomeWindow.after(at, config)
    other = rebuild_history(history, scramble_outside(read_tables(history), window, amount=amount))
    before = observe_targets(history, at, people, config)
    after = observe_targets(other, at, people, config)
    for name, labels in before.items():
        assert 0 < labels.positive < len(people)
        assert np.array_equal(labels.labels, after[name].labels)


def test_the_order_of_rows_changes_no_label(shop):
    """Not even of a SELECT that takes the first rows it meets."""
    _, config, history = shop
    config = with_targets(
        config,
        first="SELECT customer_id FROM window WHERE kind = 'purchase' LIMIT 25",
        newest="SELECT customer_id FROM window GROUP BY customer_id HAVING last(amount) > 30",
    )
    at = make_plan(history, config).evaluate[0]
    people = observed(history, config, at)["customer_id"]
    other = rebuild_history(history, shuffle_rows(read_tables(history)))
    before, after = (observe_targets(each, at, people, config) for each in (history, other))
    for name, labels in before.items():
        assert labels.positive
        assert np.array_equal(labels.labels, after[name].labels)


def test_a_late_recording_is_no_label(shop):
    """What is recorded after the window and its latency was not known when labels are observed."""
    _, config, history = shop
    config = with_targets(config, gone=GONE)
    at = make_plan(history, config).evaluate[0]
    window, tables = OutcomeWindow.after(at, config), read_tables(history)
    rows = tables["transactions"]
    place = rows.column_names.index("recorded_at")
    late = np.maximum(rows["recorded_at"].to_numpy(), window.known_until)
    tables["transactions"] = rows.set_column(place, "recorded_at", [late])
    people = observed(history, config, at)["customer_id"]
    labels = observe_targets(rebuild_history(history, tables), at, people, config)["gone"]
    assert labels.labels.all()


def test_ids_without_a_row_at_as_of_are_counted_and_no_label(shop):
    _, config, history = shop
    config = with_targets(config, everybody="SELECT customer_id FROM window UNION ALL SELECT NULL")
    at = make_plan(history, config).evaluate[0]
    people = observed(history, config, at)["customer_id"]
    few = people.slice(0, 20)
    whole = observe_targets(history, at, people, config)["everybody"]
    part = observe_targets(history, at, few, config)["everybody"]
    assert part.labels.tolist() == whole.labels[:20].tolist()
    assert part.new == whole.new + whole.positive - part.positive
    assert part.blank == whole.blank == 1


def test_money_and_instants_are_in_the_units_of_the_business(shop):
    _, config, history = shop
    at = make_plan(history, config).evaluate[0]
    window = OutcomeWindow.after(at, config)
    begin, end = (np.datetime64(each, "us") for each in (window.begin, window.end))
    config = with_targets(
        config,
        outside="SELECT customer_id FROM window WHERE "
        f"occurred_at < TIMESTAMP '{begin}' OR occurred_at >= TIMESTAMP '{end}' "
        "OR local_day <> CAST(occurred_at AS DATE)",
        cents="SELECT customer_id FROM window WHERE amount * 100 <> round(amount * 100)",
        rich="SELECT customer_id FROM window WHERE amount > 30.00",
    )
    people = observed(history, config, at)["customer_id"]
    labels = observe_targets(history, at, people, config)
    rows = read_tables(history)["transactions"].to_pylist()
    rich = {
        row["customer_id"]
        for row in rows
        if window.begin <= row["occurred_at"] < window.end and row["amount"] > 3000
    }
    assert not labels["outside"].positive
    assert not labels["cents"].positive
    assert set(np.array(people)[labels["rich"].labels]) == rich & set(people.to_pylist())


BAD = {
    "SELECT customer_id FROM window WHERE random() < 0.5": ("SelectRefused", "random"),
    "SELECT customer_id FROM window WHERE occurred_at < now()": ("SelectRefused", "now"),
    "SELECT customer_id FROM window USING SAMPLE 10%": ("SelectRefused", "sample"),
    "SELECT customer_id FROM read_csv('t.csv')": ("SelectRefused", "reads a file"),
    "SELECT customer_id FROM 't.csv'": ("SelectRefused", "reads a file"),
    "DELETE FROM window": ("SelectRefused", "not a SELECT"),
    "SELECT customer_id FROM window; SELECT 1": ("SelectRefused", "2 statements"),
    "SELECT customer_id FROM": ("QueryFailed", "syntax error"),
    "SELECT customer_id FROM transactions": ("QueryFailed", "window.transactions"),
    "SELECT customer_id FROM files.transactions": ("QueryFailed", "window.transactions"),
    "SELECT customer_id FROM window.contracts": ("QueryFailed", "window.feedback"),
    "SELECT customer_id FROM window.customers": ("QueryFailed", "customers"),
    "SELECT customer_id FROM window WHERE plan = 'pro'": ("QueryFailed", "docs/contract.md"),
    "SELECT customer_id FROM window WHERE weekdy(occurred_at) = 1": ("QueryFailed", "function"),
    "SELECT customer_id, amount FROM window": ("ColumnMissing", "customer_id, amount"),
    "SELECT count(*) AS customer_id FROM window": ("WrongType", "int64"),
    "SELECT customer_id FROM rows_of_this_test": ("QueryFailed", "window.transactions"),
}


@pytest.mark.parametrize("select", BAD)
def test_a_select_that_is_no_label_is_refused_with_its_place(select, shop, tmp_path):
    _, config, history = shop
    text = f"{TOML}[targets.fine]\nlabel = {GONE!r}\n"
    text = text.replace(f"{GONE!r}", f'"{GONE}"') + f'\n[targets.bad]\nlabel = "{select}"\n'
    (tmp_path / "lifecycle.toml").write_text(text)
    own = load_settings(tmp_path / "lifecycle.toml")
    rows_of_this_test = history.connection  # noqa: F841 no variable of Python is a table
    line = text.splitlines().index(f'label = "{select}"') + 1
    config = config.model_copy(update={"targets": own.targets})
    config._target_lines = own._target_lines
    kind, words = BAD[select]
    with pytest.raises(getattr(errors, kind), match=re.escape(words)) as caught:
        check_targets(history, config)
    assert caught.value.where == f"line {line}, [targets.bad] label"
    assert caught.value.fix


def test_a_select_that_fails_on_rows_alone_names_its_target(shop):
    _, config, history = shop
    config = with_targets(
        config, odd="SELECT customer_id FROM window WHERE CAST(category AS INT) > 1"
    )
    check_targets(history, config)
    at = make_plan(history, config).evaluate[0]
    people = observed(history, config, at)["customer_id"]
    with pytest.raises(errors.QueryFailed, match=r"\[targets.odd\] label.*TRY_CAST"):
        observe_targets(history, at, people, config)


@pytest.mark.parametrize(
    ("section", "words"),
    {
        '[targets.churn]\nlabel = "S"': "[targets.my_churn]",
        '[targets.churned]\nlabel = "S"': "[targets.my_churned]",
        '[targets.next]\nlabel = "S"': "[targets.my_next]",
        '[targets.next_loyal]\nlabel = "S"': "[targets.my_next_loyal]",
        '[targets.alive]\nlabel = "S"': "[targets.my_alive]",
        '[targets.Up-Grade]\nlabel = "S"': "[targets.up_grade]",
        '[targets."1"]\nlabel = "S"': "[targets.upgrade]",
        '[targets.up]\nlabl = "S"': "did you mean 'label'",
        '[targets.up]\npopulation = "everyone"': "Write under [targets.up]: label",
        '[targets]\nup = "SELECT"': "Write under [targets.up]: label",
        '[targets.up]\nlabel = "S"\npopulation = "all"': "'eligible' or 'everyone'",
    }.items(),
)
def test_a_section_that_is_no_target_is_refused(section, words, tmp_path):
    (tmp_path / "lifecycle.toml").write_text(TOML + section)
    with pytest.raises(errors.UsageError, match=re.escape(words)) as caught:
        load_settings(tmp_path / "lifecycle.toml")
    assert re.match(r"lifecycle\.toml line [67] \[targets\.", caught.value.where)


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ('[targets.up]\npopulation = "everyone"\nlabel = "S"', 8),
        ('[targets.up]  # a comment\n\n# label\nlabel = """\nS"""', 9),
        ('[targets]\nup.population = "everyone"\nup.label = "S"', 8),
        ('[targets]\nup = { label = "S" }', 7),
        ('[ targets . "up" ]\nlabel = "S"', 7),
    ],
)
def test_the_line_of_a_label(section, line, tmp_path):
    (tmp_path / "lifecycle.toml").write_text(TOML + section)
    settings = load_settings(tmp_path / "lifecycle.toml")
    assert settings.target_place("up") == f"line {line}, [targets.up] label"


@pytest.mark.parametrize(
    ("select", "quoted"),
    [
        ("SELECT 'é window' FROM window", "SELECT 'é window' FROM \"window\""),
        ("SELECT 1 FROM Window.feedback", 'SELECT 1 FROM "window".feedback'),
        ('SELECT 1 FROM "window" -- window', 'SELECT 1 FROM "window" -- window'),
        ("FROM window -- é window\nJOIN window w", 'FROM "window" -- é window\nJOIN "window" w'),
        (
            "FROM window QUALIFY rank() OVER w = 1 WINDOW w AS (ORDER BY amount)",
            'FROM "window" QUALIFY rank() OVER w = 1 WINDOW w AS (ORDER BY amount)',
        ),
        ("SELECT window_id FROM my_window", "SELECT window_id FROM my_window"),
    ],
)
def test_the_word_window_is_a_table_but_for_its_clause(select, quoted):
    assert quote_window(select) == quoted


def test_check_counts_the_labels_of_the_newest_complete_date_and_refuses_a_bad_select(
    shop, tmp_path
):
    """Whoever writes a label sees at once whether it says what is meant."""
    config = tmp_path / "lifecycle.toml"
    text = (shop[0] / "lifecycle.toml").read_text().replace("data/", f"{shop[0]}/data/")
    config.write_text(f'{text}\n[targets.spends]\nlabel = """{SPENDS}"""\n')
    report = json.loads(run_here("check", "-c", config, "--json").stdout)["targets"]["spends"]
    assert report["population"] == "eligible"
    assert 0 < report["positive"] < report["customers"]
    printed = run_here("check", "-c", config).stdout
    assert f"target spends: {report['positive']:,} of {report['customers']:,} eligible" in printed
    config.write_text(f'{text}\n[targets.spends]\nlabel = "SELECT customer_id FROM nowhere"\n')
    refused = run_here("check", "-c", config)
    assert refused.returncode == 3
    assert "[targets.spends] label" in refused.stderr
    assert "window.feedback" in refused.stderr
