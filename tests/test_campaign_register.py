"""The register of campaigns: what each reached, cost and changed, as known at an instant."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.core.instants import DAY_US, local_date
from features.indicators.indicator_data import IndicatorData
from lifecycle.simulation.actions import TRIAL
from serving.campaigns import store as campaigns
from serving.report.sections.actions import actions_section
from serving.report.source import Facts, Source
from serving.report.written_tables import WrittenTables
from tests.support.campaigns import plan_at
from training.effects.campaign_actions import NO_ACTION
from training.effects.measure import measure
from training.effects.register import NOT_COMPLETE, campaign_tables


@pytest.fixture
def register(shop_with_trial):
    """The rows of the register at an instant, by campaign."""
    _, settings, history = shop_with_trial

    def rows_at(at: int):
        data = IndicatorData(history, settings, at)
        rows = campaign_tables(data)["campaigns"].to_pylist()
        data.close()
        return rows

    return rows_at


def test_a_campaign_is_there_from_its_decision_on_and_measured_once_complete(
    register, shop_with_trial
):
    _, settings, history = shop_with_trial
    rows = history.as_of(history.data_until).further["treatments"].collect(backend="pyarrow")
    decided = int(rows.to_native()["recorded_at"][0].as_py())
    assert register(decided)[0]["missing"].startswith("a campaign that was decided")
    [early] = register(decided + 1)
    assert (early["campaign"], early["verdict"]) == (TRIAL, NOT_COMPLETE)
    assert early["decided"] == local_date(decided, settings.zone).isoformat()
    assert early["difference"] is None
    complete = decided + settings.outcome_window_us
    assert register(complete - 1)[0]["verdict"] == NOT_COMPLETE
    [late] = register(complete)
    report = measure(history, settings, TRIAL).report()
    assert late["difference"] == report["kept"]["difference"]
    assert late["verdict"] == report["verdict"]
    assert late["profit"] == pytest.approx(late["return_on_cost"] * late["cost"])
    assert late["profit"] == pytest.approx(late["incremental_margin"] - late["cost"])
    assert (late["kept_treated"], late["kept_held_out"]) == (
        report["kept"]["treated"],
        report["kept"]["held_out"],
    )
    assert late["reach"] == early["reach"] == early["treated"]
    assert early["incremental_margin"] is early["kept_treated"] is None
    assert register(history.data_until)[0]["difference"] == late["difference"]


def test_what_was_planned_stands_there_before_anything_came(register, shop_with_trial, home):
    _, _, history = shop_with_trial
    at = history.data_until - 5 * DAY_US
    plan = plan_at(at, [f"{number:06d}" for number in range(1, 301)], np.random.default_rng(2))
    campaigns.write_campaign("spring", plan, {"as_of": at})
    assert [row["campaign"] for row in register(at - 1)] == [TRIAL]
    row = register(at)[-1]
    treated = plan["arm"].to_pylist().count("treated")
    assert (row["campaign"], row["treated"], row["held_out"]) == ("spring", treated, 300 - treated)
    assert row["cost"] == pytest.approx(6.0 * treated)
    assert row["expected_profit"] == pytest.approx(2.0 * treated)
    assert row["reach"] is None  # nothing says yet who was contacted


def test_the_page_draws_what_was_measured_and_names_the_newest(shop_with_trial, home):
    _, settings, history = shop_with_trial
    facts = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report")
    empty = actions_section(Source(WrittenTables({}), facts))
    assert "Nothing is decided here yet" in empty.answer
    data = IndicatorData(history, settings, history.data_until)
    tables = campaign_tables(data)
    data.close()
    section = actions_section(Source(WrittenTables(tables, "EUR"), facts))
    assert f">{TRIAL}<" in section.answer
    table, picture = section.pictures
    assert table.markup is None
    assert 'data-column="difference"' in picture.markup
    assert 'data-table="campaigns"' in picture.markup


def plan_of_actions(at, counts):
    """A plan whose actions have so many treated and held out."""
    size = sum(treated + held_out for treated, held_out in counts.values())
    plan = plan_at(at, [f"{number:06d}" for number in range(1, size + 1)], np.random.default_rng(2))
    arms, actions = [], []
    for action, (treated, held_out) in counts.items():
        arms += ["treated"] * treated + ["held_out"] * held_out
        actions += [action] * (treated + held_out)
    for name, values in (("arm", arms), ("action", actions), ("channel", ["email"] * size)):
        plan = plan.set_column(plan.column_names.index(name), name, pa.array(values, pa.string()))
    return plan


def test_the_actions_of_the_newest_campaign_stand_on_the_page_without_few_customers(
    shop_with_trial, home
):
    _, settings, history = shop_with_trial
    at = history.data_until - 5 * DAY_US
    plan = plan_of_actions(at, {"call": (90, 7), "voucher": (60, 20), "gift": (40, 30)})
    campaigns.write_campaign("spring", plan, {"as_of": at})
    data = IndicatorData(history, settings, history.data_until)
    tables = campaign_tables(data)
    data.close()
    rows = tables["campaign_actions"].to_pylist()
    assert [(row["action"], row["treated"], row["held_out"]) for row in rows] == [
        ("call", 90, 7),
        ("voucher", 60, 20),
        ("gift", 40, 30),
    ]
    assert rows[0]["expected_profit"] == pytest.approx(180.0)
    facts = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report")
    section = actions_section(Source(WrittenTables(tables, "EUR"), facts))
    view = section.pictures[0].view
    shown = {
        row["action"]: [row.number_of(name) for name in ("treated", "held_out")]
        for row in view.rows
    }
    # The smallest other count is hidden too: the sum of all is known.
    assert shown == {"call": [90, None], "voucher": [60, None], "gift": [40, 30]}
    cells = [[str(text) for text, _ in line] for line in view.body()]
    assert ["fewer than 10" in cells[0], "not shown" in cells[1]] == [True, True]


def test_a_campaign_of_the_table_has_its_actions_and_those_held_out_of_none(shop_with_trial):
    _, settings, history = shop_with_trial
    data = IndicatorData(history, settings, history.data_until)
    rows = campaign_tables(data)["campaign_actions"].to_pylist()
    data.close()
    assert {row["action"] for row in rows} == {"call", "voucher", "reminder", NO_ACTION}
    assert rows[-1]["treated"] == 0 < rows[-1]["held_out"]
    assert all(row["expected_profit"] is None for row in rows)
