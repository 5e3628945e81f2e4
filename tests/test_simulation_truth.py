"""The simulated business: its truth is the truth of its tables, and its defaults are as hard as
they claim to be.
"""

import numpy as np
import pandas as pd
import pytest

from lifecycle.simulation import MODES, simulate, world
from lifecycle.simulation import subscription as subs
from tests.support.checks import nonempty
from tests.support.simulation_outcomes import in_retail, in_subscription

AUROC = {"retail": (0.75, 0.85), "subscription": (0.75, 0.90)}
CHURN = {"retail": (0.10, 0.35), "subscription": (0.08, 0.30)}


def auroc(y, score):
    ranks, y = score.rank(), y.astype(bool)
    return (ranks[y].mean() - (y.sum() + 1) / 2) / (~y).sum()


def last_three(outcomes):
    dates = sorted(outcomes["as_of"].unique())[-3:]
    eligible = outcomes[outcomes["eligible"] & outcomes["as_of"].isin(dates)]
    return [eligible, *(rows for _, rows in eligible.groupby("as_of"))]


# --- how hard the defaults are
# -----------------------------------------------------------------------------------


def test_truth_ranks_leavers_as_well_as_declared_on_the_last_dates(simulation, outcomes):
    low, high = AUROC[simulation.mode]
    for rows in nonempty(last_three(outcomes)):
        assert low <= auroc(rows["churned"], rows["p_leave"]) <= high


def test_churn_among_eligible_is_as_declared_on_the_last_dates(simulation, outcomes):
    low, high = CHURN[simulation.mode]
    for rows in nonempty(last_three(outcomes)):
        assert len(rows) > 500
        assert low <= rows["churned"].mean() <= high


@pytest.mark.parametrize("simulation", ["retail"], indirect=True)
def test_recency_of_the_last_purchase_says_little(outcomes):
    for rows in nonempty(last_three(outcomes)):
        assert auroc(rows["churned"], rows["recency"]) <= 0.65


def test_fewer_visits_than_usual_say_more_than_recency(retail_simulation):
    visits = retail_simulation.tables["interactions"].to_pandas().query("kind == 'visit'")
    rows = eligible_on(retail_simulation, pd.Timestamp("2024-10-01"))
    seen = visits[visits["occurred_at"] < rows["as_of"].iloc[0]]
    recent = seen[seen["occurred_at"] >= rows["as_of"].iloc[0] - pd.Timedelta(days=30)]
    lately, ever = (
        rows["customer_id"].map(part["customer_id"].value_counts()).fillna(0)
        for part in (recent, seen)
    )
    tenure = rows["customer_id"].map(
        retail_simulation.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"]
    )
    usual = ever / ((rows["as_of"] - tenure).dt.days + 1)
    assert (
        auroc(rows["churned"], -(lately + 1) / (30 * usual + 1))
        > auroc(rows["churned"], rows["recency"]) + 0.05
    )


def eligible_on(simulation, as_of):
    truth = simulation.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    tables = {name: table.to_pandas() for name, table in simulation.tables.items()}
    return in_retail(tables, as_of, truth[truth["as_of"] == as_of]).query("eligible")


def test_the_tables_stay_small(simulation):
    assert simulation.tables["customers"].num_rows == 3000
    assert 100_000 < simulation.tables["interactions"].num_rows < 330_000


# --- the truth is the truth
# --------------------------------------------------------------------------------------


def z_scores(rows, by):
    """How far outcomes lie from p_leave, in standard errors, by group; windows must not overlap."""
    sums = rows.assign(spread=rows["p_leave"] * (1 - rows["p_leave"])).groupby(by, observed=True)
    sums = sums[["churned", "p_leave", "spread"]].sum()
    sums = sums[sums["spread"] > 5]
    return (sums["churned"] - sums["p_leave"]) / np.sqrt(sums["spread"])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_p_leave_is_calibrated_against_what_happened(outcomes, first):
    dates = sorted(outcomes["as_of"].unique())[
        first::3
    ]  # a quarter apart: windows of 60 days do not overlap
    rows = outcomes[outcomes["settled"] & outcomes["as_of"].isin(dates)]
    bins = pd.cut(rows["p_leave"], np.linspace(0, 1, 21), include_lowest=True)
    for by in (bins, rows["as_of"], rows["eligible"], rows["left"]):
        z = z_scores(rows, by)
        assert len(z) > 0
        assert z.abs().max() < 4
        assert (z**2).sum() < len(z) + 4 * np.sqrt(2 * len(z))  # chi-square: mean n, variance 2n


def test_p_leave_is_calibrated_for_each_kind_of_contract(subscription_simulation):
    rows = at_quarters(subscription_simulation)
    terms = (
        subscription_simulation.tables["contracts"]
        .to_pandas()
        .drop_duplicates("customer_id")
        .set_index("customer_id")
    )
    kind = [rows["customer_id"].map(terms[column]) for column in ("plan", "auto_renew")]
    z = z_scores(rows, kind)
    assert len(z) == 4
    assert z.abs().max() < 3.5


def at_quarters(simulation):
    truth = simulation.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    tables = {name: table.to_pandas() for name, table in simulation.tables.items()}
    dates = sorted(truth["as_of"].unique())[:-3:3]
    return pd.concat(
        [in_subscription(tables, date, truth[truth["as_of"] == date]) for date in dates]
    ).query("settled")


def test_what_is_certain_happens(outcomes):
    rows = outcomes[outcomes["settled"]]
    assert rows["p_leave"].between(0, 1).all()
    assert rows.loc[rows["p_leave"] == 1, "churned"].all()
    assert not rows.loc[rows["p_leave"] == 0, "churned"].any()


@pytest.mark.parametrize(("mode", "sign"), [("retail", -1), ("subscription", 1)])
def test_a_longer_horizon_moves_p_leave_one_way_and_leaves_the_tables_alone(mode, sign):
    near, far = (simulate(customers=300, mode=mode, horizon_days=days) for days in (20, 75))
    assert near.tables == far.tables
    both = near.truth.to_pandas().merge(far.truth.to_pandas(), on=["customer_id", "as_of"])
    # A term cancelled already only asks whether it ends in the window.
    assert len(both) == far.truth.num_rows
    assert (sign * (both["p_leave_y"] - both["p_leave_x"]) >= -1e-12).all()


def test_satisfaction_steps_are_probabilities():
    steps = world.transition_matrix()
    assert steps.min() >= 0
    np.testing.assert_allclose(steps.sum(axis=1), 1)
    assert subs.LATE.sum() == pytest.approx(1)


@pytest.mark.parametrize("mode", MODES)
def test_truth_is_asked_on_the_first_of_each_month_while_the_window_fits(mode):
    truth = simulate(customers=50, days=400, mode=mode, horizon_days=90).truth.to_pandas()
    dates = sorted(set(truth["as_of"]))
    assert [str(day) for day in dates] == [
        "2022-07-01",
        "2022-08-01",
        "2022-09-01",
        "2022-10-01",
        "2022-11-01",
    ]


def test_truth_covers_everyone_acquired_before_and_stays_out_of_the_tables(simulation):
    acquired = simulation.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"]
    for as_of, rows in nonempty(simulation.truth.to_pandas().groupby("as_of")):
        assert set(rows["customer_id"]) == set(acquired.index[acquired < pd.Timestamp(as_of)])
    columns = {name for table in simulation.tables.values() for name in table.column_names}
    assert not columns & {"p_leave", "left", "level", "status", "gone"}
