"""The tables of a simulated business are sensible, and so are its contracts."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lifecycle.simulation import simulate
from tests.support.simulation_outcomes import END


def test_equal_seeds_give_equal_businesses(simulation):
    again, other = (
        simulate(mode=simulation.mode),
        simulate(mode=simulation.mode, seed=8, customers=100),
    )
    assert again == simulation
    assert (
        other.tables["interactions"]
        != simulate(mode=simulation.mode, customers=100).tables["interactions"]
    )


def test_ids_are_text_with_leading_zeros(simulation):
    ids = simulation.tables["customers"]["customer_id"]
    assert ids.type == pa.string()
    assert ids[0].as_py() == "000001"
    for table in [*simulation.tables.values(), simulation.truth]:
        assert set(table["customer_id"].unique().to_pylist()) <= set(ids.to_pylist())


def test_nothing_happens_before_acquisition_or_after_the_end(simulation):
    acquired = simulation.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"]
    for name in ("transactions", "interactions", "feedback"):
        rows = simulation.tables[name].to_pandas()
        assert (rows["occurred_at"] >= rows["customer_id"].map(acquired)).all()
        assert rows["occurred_at"].is_monotonic_increasing
        for column in {"occurred_at", "recorded_at", "answered_at", "resolved_at"} & set(rows):
            assert (rows[column].dropna() < END).all()


def test_transactions_are_sensible(simulation):
    rows = simulation.tables["transactions"].to_pandas()
    late = rows["recorded_at"] - rows["occurred_at"]
    assert rows["transaction_id"].is_unique
    assert set(rows["kind"]) == {"purchase", "refund", "payment_failed"}
    assert (late >= pd.Timedelta(0)).all()
    assert 0.01 < (late > pd.Timedelta(0)).mean() < 0.03
    assert late[late > pd.Timedelta(0)].between(pd.Timedelta(days=1), pd.Timedelta(days=3)).all()
    assert ((rows["amount"] < 0) == (rows["kind"] == "refund")).all()
    bought = rows[rows["kind"] == "purchase"]
    assert (
        not bought.assign(day=bought["occurred_at"].dt.date)
        .duplicated(["customer_id", "day"])
        .any()
    )


def test_refunds_pay_back_at_most_what_was_paid(retail_simulation):
    rows = retail_simulation.tables["transactions"].to_pandas()
    paid = rows[rows["kind"] == "purchase"].groupby("customer_id")["amount"].sum()
    back = rows[rows["kind"] == "refund"].groupby("customer_id")["amount"].sum()
    assert len(back) > 100
    assert (-back <= paid.reindex(back.index)).all()


def test_feedback_is_sensible(simulation):
    rows = simulation.tables["feedback"].to_pandas()
    survey = rows["kind"].isin(["csat", "nps"])
    assert (rows["score"].notna() == rows["answered_at"].notna()).all()
    assert (rows["answered_at"].dropna() >= rows["occurred_at"][rows["answered_at"].notna()]).all()
    assert (rows["resolved_at"].dropna() >= rows["occurred_at"][rows["resolved_at"].notna()]).all()
    assert rows.loc[rows["kind"] == "complaint", "answered_at"].isna().all()
    reviews = rows[rows["kind"] == "review"]
    assert (reviews["answered_at"] == reviews["occurred_at"]).all()
    assert reviews["score"].between(1, 5).all()
    assert rows["item"].notna().equals(rows["kind"].isin(["csat", "review"]))
    assert rows.loc[survey, "resolved_at"].isna().all()
    assert 0.3 < rows.loc[survey, "score"].notna().mean() < 0.7
    scores = rows[survey].groupby("kind")["score"].agg(["min", "max"])
    assert scores.loc["csat"].tolist() == [1, 5]
    assert scores.loc["nps"].tolist() == [0, 10]


def test_leaving_is_final_in_retail(retail_simulation):
    truth = retail_simulation.truth.to_pandas().query("left")
    left = pd.to_datetime(truth.groupby("customer_id")["as_of"].min())
    after = {}
    for name in ("transactions", "interactions", "feedback"):
        rows = retail_simulation.tables[name].to_pandas()
        after[name] = rows[rows["occurred_at"] >= rows["customer_id"].map(left)]
    assert len(left) > 1000
    assert after["transactions"].empty
    assert set(after["interactions"]["kind"]) == {"sent"}  # no visit, no look at a downgrade page
    assert "nps" in set(after["feedback"]["kind"]) <= {"csat", "nps"}
    assert after["feedback"]["answered_at"].isna().all()


def test_some_prospects_never_buy_and_only_retail_has_them(simulation):
    buyers = (
        simulation.tables["transactions"]
        .to_pandas()
        .query("kind == 'purchase'")["customer_id"]
        .nunique()
    )
    share = 1 - buyers / 3000
    assert 0.02 < share < 0.04 if simulation.mode == "retail" else share < 0.005


def test_only_subscriptions_have_contracts_usage_and_cancel_pages(simulation):
    kinds = set(simulation.tables["interactions"]["kind"].unique().to_pylist())
    contractual = simulation.mode == "subscription"
    assert ("contracts" in simulation.tables) == contractual
    own = {"usage", "cancel_page"} if contractual else {"visit", "downgrade_page"}
    assert kinds == {"sent", "opened", "call"} | own


# --- contracts ------------------------------------------------------------------------------------
# ---------------


@pytest.fixture(scope="module")
def contracts(subscription_simulation):
    return subscription_simulation.tables["contracts"].to_pandas()


@pytest.fixture(scope="module")
def terms(contracts):
    terms = contracts.groupby(["customer_id", "starts_at", "plan"], as_index=False).last()
    return terms.assign(next_starts=terms.groupby("customer_id")["starts_at"].shift(-1))


def test_terms_do_not_overlap_and_last_30_or_365_days(terms):
    again = terms.dropna(subset="next_starts")
    assert (again["next_starts"] >= again["ends_at"]).all()
    lengths = (terms["ends_at"] - terms["starts_at"]).groupby(terms["plan"]).unique()
    assert lengths["monthly"].tolist() == [timedelta(days=30)]
    assert lengths["annual"].tolist() == [timedelta(days=365)]


def test_automatic_renewals_are_seamless_and_others_up_to_five_days_late(terms):
    again = terms.dropna(subset="next_starts")
    late = (again["next_starts"] - again["ends_at"]).dt.days
    assert (late[again["auto_renew"]] == 0).all()
    assert set(late[~again["auto_renew"]]) == {0, 1, 2, 3, 4, 5}


def test_a_cancellation_is_a_later_version_of_the_last_term(contracts, terms):
    first = contracts.drop_duplicates(["customer_id", "starts_at", "plan"])
    second = contracts.drop(first.index)
    assert first["cancelled_at"].isna().all()
    assert (first["recorded_at"] == first["starts_at"]).all()
    assert len(second) > 500
    assert (second["recorded_at"] == second["cancelled_at"]).all()
    assert (
        (second["cancelled_at"] > second["starts_at"])
        & (second["cancelled_at"] < second["ends_at"])
    ).all()
    assert not second["customer_id"].duplicated().any()
    assert terms.loc[terms["cancelled_at"].notna(), "next_starts"].isna().all()


def test_every_term_is_paid_when_it_starts(subscription_simulation, terms):
    bought = subscription_simulation.tables["transactions"].to_pandas().query("kind == 'purchase'")
    paid = terms.merge(
        bought,
        left_on=["customer_id", "starts_at"],
        right_on=["customer_id", "occurred_at"],
        how="left",
    )
    missing = paid[paid["amount"].isna()]
    assert (
        missing["starts_at"] > END - pd.Timedelta(days=3)
    ).all()  # paid, but not recorded by the end
    assert (paid["amount"].dropna() <= paid["price"][paid["amount"].notna()]).all()


def test_usage_needs_cover(subscription_simulation, terms):
    usage = (
        subscription_simulation.tables["interactions"]
        .to_pandas()
        .query("kind == 'usage'")[["customer_id", "occurred_at"]]
    )
    cover = terms[["customer_id", "starts_at", "ends_at"]].sort_values("starts_at")
    at = pd.merge_asof(usage, cover, left_on="occurred_at", right_on="starts_at", by="customer_id")
    assert (at["occurred_at"] < at["ends_at"]).all()


def test_cancel_pages_often_precede_cancelling_and_sometimes_nothing(
    subscription_simulation, terms
):
    pages = (
        subscription_simulation.tables["interactions"].to_pandas().query("kind == 'cancel_page'")
    )
    cancelled = terms.dropna(subset="cancelled_at").set_index("customer_id")["cancelled_at"]
    ahead = cancelled.reindex(pages["customer_id"]).to_numpy() - pages["occurred_at"].to_numpy()
    near = pages[(ahead > np.timedelta64(0)) & (ahead < np.timedelta64(11, "D"))]
    assert 0.5 < near["customer_id"].nunique() / len(cancelled) < 0.9
    assert 0.2 < 1 - len(near) / len(pages) < 0.8
