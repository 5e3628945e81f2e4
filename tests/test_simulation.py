"""The simulated business: its truth is the truth of its tables, and its defaults are as hard as they claim to be."""

import tomllib
from collections import Counter
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from features import settings
from features.simulation import MODES, START, simulate, world, write
from features.simulation import retail as shop
from features.simulation import subscription as subs

HORIZON, END = pd.Timedelta(days=60), pd.Timestamp("2025-01-01")
LATENCY = {"retail": pd.Timedelta(days=3), "subscription": pd.Timedelta(days=10)}
AUROC = {"retail": (0.75, 0.85), "subscription": (0.75, 0.90)}
CHURN = {"retail": (0.10, 0.35), "subscription": (0.08, 0.30)}


@pytest.fixture(scope="module", params=MODES)
def simulated(request):
    return simulate(mode=request.param)


@pytest.fixture(scope="module")
def retail():
    return simulate()


@pytest.fixture(scope="module")
def subscription():
    return simulate(mode="subscription")


@pytest.fixture(scope="module")
def asked(simulated):
    """One row for each customer and mature as_of: p_leave, left, eligible, and the outcome the tables show."""
    tables = {name: table.to_pandas() for name, table in simulated.tables.items()}
    truth = simulated.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    mature = truth[truth["as_of"] + HORIZON + LATENCY[simulated.mode] <= END]
    look = in_retail if simulated.mode == "retail" else in_subscription
    return pd.concat([look(tables, as_of, known) for as_of, known in mature.groupby("as_of")])


def in_retail(tables, as_of, known):
    bought = tables["transactions"].query("kind == 'purchase'")
    before = bought[(bought["occurred_at"] < as_of) & (bought["recorded_at"] < as_of)]
    window = bought[bought["occurred_at"].between(as_of, as_of + HORIZON, inclusive="left")]
    recency = (as_of - known["customer_id"].map(before.groupby("customer_id")["occurred_at"].max())).dt.days
    churned = ~known["customer_id"].isin(window["customer_id"])
    return known.assign(recency=recency, eligible=recency < HORIZON.days, settled=True, churned=churned)


def in_subscription(tables, as_of, known):
    versions = tables["contracts"]
    terms = versions.groupby(["customer_id", "starts_at"], as_index=False).agg(
        {"ends_at": "first", "cancelled_at": "max"}
    )
    following = terms.groupby("customer_id")["starts_at"].shift(-1)
    renewed = following - terms["ends_at"] < pd.Timedelta(days=7)
    inside = {"left": as_of, "right": as_of + HORIZON, "inclusive": "left"}
    leaves = terms["cancelled_at"].between(**inside) | (terms["ends_at"].between(**inside) & ~renewed)
    covered = (terms["starts_at"] < as_of) & (terms["ends_at"] >= as_of)
    eligible = known["customer_id"].isin(terms.loc[covered, "customer_id"])
    churned = known["customer_id"].isin(terms.loc[leaves, "customer_id"])
    # Who lapsed or ran out before as_of has left (p_leave = 1) without doing so in the window.
    return known.assign(eligible=eligible, settled=eligible | ~known["left"], churned=churned)


def auroc(y, score):
    ranks, y = score.rank(), y.astype(bool)
    return (ranks[y].mean() - (y.sum() + 1) / 2) / (~y).sum()


def last_three(asked):
    dates = sorted(asked["as_of"].unique())[-3:]
    eligible = asked[asked["eligible"] & asked["as_of"].isin(dates)]
    return [eligible, *(rows for _, rows in eligible.groupby("as_of"))]


# --- how hard the defaults are -----------------------------------------------------------------------------------


def test_truth_ranks_leavers_as_well_as_declared_on_the_last_dates(simulated, asked):
    low, high = AUROC[simulated.mode]
    for rows in last_three(asked):
        assert low <= auroc(rows["churned"], rows["p_leave"]) <= high


def test_churn_among_eligible_is_as_declared_on_the_last_dates(simulated, asked):
    low, high = CHURN[simulated.mode]
    for rows in last_three(asked):
        assert len(rows) > 500
        assert low <= rows["churned"].mean() <= high


def test_recency_of_the_last_purchase_says_little(simulated, asked):
    if simulated.mode == "retail":
        for rows in last_three(asked):
            assert auroc(rows["churned"], rows["recency"]) <= 0.65


def test_fewer_visits_than_usual_say_more_than_recency(retail):
    visits = retail.tables["interactions"].to_pandas().query("kind == 'visit'")
    rows = eligible_on(retail, pd.Timestamp("2024-10-01"))
    seen = visits[visits["occurred_at"] < rows["as_of"].iloc[0]]
    recent = seen[seen["occurred_at"] >= rows["as_of"].iloc[0] - pd.Timedelta(days=30)]
    lately, ever = (rows["customer_id"].map(part["customer_id"].value_counts()).fillna(0) for part in (recent, seen))
    tenure = rows["customer_id"].map(retail.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"])
    usual = ever / ((rows["as_of"] - tenure).dt.days + 1)
    assert auroc(rows["churned"], -(lately + 1) / (30 * usual + 1)) > auroc(rows["churned"], rows["recency"]) + 0.05


def eligible_on(simulated, as_of):
    truth = simulated.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    tables = {name: table.to_pandas() for name, table in simulated.tables.items()}
    return in_retail(tables, as_of, truth[truth["as_of"] == as_of]).query("eligible")


def test_the_tables_stay_small(simulated):
    assert simulated.tables["customers"].num_rows == 3000
    assert 100_000 < simulated.tables["interactions"].num_rows < 330_000


# --- the truth is the truth --------------------------------------------------------------------------------------


def z_scores(rows, by):
    """How far outcomes lie from p_leave, in standard errors, by group; windows must not overlap."""
    sums = rows.assign(spread=rows["p_leave"] * (1 - rows["p_leave"])).groupby(by, observed=True)
    sums = sums[["churned", "p_leave", "spread"]].sum()
    sums = sums[sums["spread"] > 5]
    return (sums["churned"] - sums["p_leave"]) / np.sqrt(sums["spread"])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_p_leave_is_calibrated_against_what_happened(asked, first):
    dates = sorted(asked["as_of"].unique())[first::3]  # a quarter apart: windows of 60 days do not overlap
    rows = asked[asked["settled"] & asked["as_of"].isin(dates)]
    bins = pd.cut(rows["p_leave"], np.linspace(0, 1, 21), include_lowest=True)
    for by in (bins, rows["as_of"], rows["eligible"], rows["left"]):
        z = z_scores(rows, by)
        assert z.abs().max() < 4 or z.empty
        assert (z**2).sum() < len(z) + 4 * np.sqrt(2 * len(z))  # chi-square: mean n, variance 2n


def test_p_leave_is_calibrated_for_each_kind_of_contract(subscription):
    rows = at_quarters(subscription)
    terms = subscription.tables["contracts"].to_pandas().drop_duplicates("customer_id").set_index("customer_id")
    kind = [rows["customer_id"].map(terms[column]) for column in ("plan", "auto_renew")]
    z = z_scores(rows, kind)
    assert len(z) == 4
    assert z.abs().max() < 3.5


def at_quarters(simulated):
    truth = simulated.truth.to_pandas().assign(as_of=lambda rows: pd.to_datetime(rows["as_of"]))
    tables = {name: table.to_pandas() for name, table in simulated.tables.items()}
    dates = sorted(truth["as_of"].unique())[:-3:3]
    return pd.concat([in_subscription(tables, date, truth[truth["as_of"] == date]) for date in dates]).query("settled")


def test_what_is_certain_happens(asked):
    rows = asked[asked["settled"]]
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
    steps = world.transition()
    assert steps.min() >= 0
    np.testing.assert_allclose(steps.sum(axis=1), 1)
    assert subs.LATE.sum() == pytest.approx(1)


@pytest.mark.parametrize("mode", MODES)
def test_truth_is_asked_on_the_first_of_each_month_while_the_window_fits(mode):
    truth = simulate(customers=50, days=400, mode=mode, horizon_days=90).truth.to_pandas()
    dates = sorted(set(truth["as_of"]))
    assert [str(day) for day in dates] == ["2022-07-01", "2022-08-01", "2022-09-01", "2022-10-01", "2022-11-01"]


def test_truth_covers_everyone_acquired_before_and_stays_out_of_the_tables(simulated):
    acquired = simulated.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"]
    for as_of, rows in simulated.truth.to_pandas().groupby("as_of"):
        assert set(rows["customer_id"]) == set(acquired.index[acquired < pd.Timestamp(as_of)])
    columns = {name for table in simulated.tables.values() for name in table.column_names}
    assert not columns & {"p_leave", "left", "level", "status", "gone"}


# --- the recursions, once more: forwards, slowly and obviously -----------------------------------------------------


def test_retail_recursion_equals_walking_forwards_from_the_evening_before():
    level, buys, day, horizon = np.array([[3, 1, 0], [0, 4, 0]]), np.array([0.03, 0.05, 0.03]), 1, 40
    lives = world.Lives(level, level > 9, np.array([1, world.NEVER, 0]))  # the third left the day before
    p, left = shop._leaving(SimpleNamespace(buys=buys), lives, horizon)(day)
    assert left.tolist() == [False, False, True]
    assert p == pytest.approx([silence(3, 0.03, horizon), silence(1, 0.05, horizon), 1.0])


def silence(level, buys, horizon):
    here, left = np.eye(5)[level], 0.0
    for _ in range(horizon):
        here = here @ world.transition()
        left += here @ world.LEAVES
        here = here * (1 - world.LEAVES) * (1 - buys)
    return left + here.sum()


@pytest.mark.parametrize("annual", [False, True])
@pytest.mark.parametrize("auto_renew", [False, True])
def test_subscription_recursion_equals_walking_forwards_from_the_evening_before(annual, auto_renew):
    status = [subs.RUNNING, subs.RUNNING, subs.DECIDED, subs.WAITING, subs.WAITING, subs.CANCELLED, subs.CANCELLED]
    term, horizon, day, level = int(subs.TERM_DAYS[int(annual)]), 40, 1, [0, 3, 2, 1, 4, 4, 4]
    days_left = np.array([term - 1, 9, 4, term - 1, term + 3, 40, 39])
    alike = np.ones(len(status), bool)
    cover = subs.Cover(np.array([status, alike * subs.GONE]), np.array([days_left + day, alike * 0]), np.empty((4, 0)))
    plans = subs.Plans(alike & annual, alike & auto_renew)
    p, left = subs._leaving(plans, cover, np.array([level, alike * 0]), horizon)(day)
    starts = [("running", 0, term - 1), ("running", 3, 9), ("decided", 2, 4), ("running", 1, term - 1), (4, 4, None)]
    assert p == pytest.approx([*(leaves(start, annual, auto_renew, horizon) for start in starts), 0.0, 1.0])
    assert left.tolist() == [False] * 5 + [True] * 2


def leaves(start, annual, auto_renew, horizon):
    here = {start: 1.0}
    for _ in range(horizon):
        tomorrow = Counter()
        for state, share in here.items():
            for chance, following in [(1.0, state)] if state == "left" else one_day(*state, annual, auto_renew):
                tomorrow[following] += share * chance
        here = tomorrow
    return here["left"]


def one_day(status, level, days_left, annual, auto_renew):
    """(chance, state tomorrow) of running or decided with days left, or of waiting so many days for a new term."""
    fresh = int(subs.TERM_DAYS[int(annual)]) - 1
    for to, step in enumerate(world.transition()[level]):
        if status not in ("running", "decided"):
            yield step, ("running", to, fresh) if status == 1 else (status - 1, to, None)
            continue
        decides = 1.0 if status == "decided" else subs.hazard(to, days_left=days_left, annual=annual)
        yield step * decides * subs.CANCELS, "left"
        for mood, chance in (("decided", decides * (1 - subs.CANCELS)), ("running", 1 - decides)):
            for renews, following in end_of_day(mood, to, days_left, fresh, auto_renew):
                yield step * chance * renews, following


def end_of_day(mood, level, days_left, fresh, auto_renew):
    if days_left > 0 or auto_renew:
        return [(1.0, (mood, level, days_left - 1 if days_left > 0 else fresh))]
    if mood == "decided":
        return [(1.0, "left")]
    renews = subs.RENEWS[level]
    late = [(renews * share, (pause, level, None)) for pause, share in enumerate(subs.LATE) if pause]
    return [(1 - renews, "left"), (renews * subs.LATE[0], ("running", level, fresh)), *late]


# --- the tables --------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_businesses(simulated):
    again, other = simulate(mode=simulated.mode), simulate(mode=simulated.mode, seed=8, customers=100)
    assert again == simulated
    assert other.tables["interactions"] != simulate(mode=simulated.mode, customers=100).tables["interactions"]


def test_ids_are_text_with_leading_zeros(simulated):
    ids = simulated.tables["customers"]["customer_id"]
    assert ids.type == pa.string()
    assert ids[0].as_py() == "000001"
    for table in [*simulated.tables.values(), simulated.truth]:
        assert set(table["customer_id"].unique().to_pylist()) <= set(ids.to_pylist())


def test_nothing_happens_before_acquisition_or_after_the_end(simulated):
    acquired = simulated.tables["customers"].to_pandas().set_index("customer_id")["acquired_at"]
    for name in ("transactions", "interactions", "feedback"):
        rows = simulated.tables[name].to_pandas()
        assert (rows["occurred_at"] >= rows["customer_id"].map(acquired)).all()
        assert rows["occurred_at"].is_monotonic_increasing
        for column in {"occurred_at", "recorded_at", "answered_at", "resolved_at"} & set(rows):
            assert (rows[column].dropna() < END).all()


def test_transactions_are_sensible(simulated):
    rows = simulated.tables["transactions"].to_pandas()
    late = rows["recorded_at"] - rows["occurred_at"]
    assert rows["transaction_id"].is_unique
    assert set(rows["kind"]) == {"purchase", "refund", "payment_failed"}
    assert (late >= pd.Timedelta(0)).all()
    assert 0.01 < (late > pd.Timedelta(0)).mean() < 0.03
    assert late[late > pd.Timedelta(0)].between(pd.Timedelta(days=1), pd.Timedelta(days=3)).all()
    assert ((rows["amount"] < 0) == (rows["kind"] == "refund")).all()
    bought = rows[rows["kind"] == "purchase"]
    assert not bought.assign(day=bought["occurred_at"].dt.date).duplicated(["customer_id", "day"]).any()


def test_refunds_pay_back_at_most_what_was_paid(retail):
    rows = retail.tables["transactions"].to_pandas()
    paid = rows[rows["kind"] == "purchase"].groupby("customer_id")["amount"].sum()
    back = rows[rows["kind"] == "refund"].groupby("customer_id")["amount"].sum()
    assert len(back) > 100
    assert (-back <= paid.reindex(back.index)).all()


def test_feedback_is_sensible(simulated):
    rows = simulated.tables["feedback"].to_pandas()
    survey = rows["kind"].isin(["csat", "nps"])
    assert (rows["score"].notna() == rows["answered_at"].notna()).all()
    assert (rows["answered_at"].dropna() >= rows["occurred_at"][rows["answered_at"].notna()]).all()
    assert (rows["resolved_at"].dropna() >= rows["occurred_at"][rows["resolved_at"].notna()]).all()
    assert rows.loc[~survey, "answered_at"].isna().all()
    assert rows.loc[survey, "resolved_at"].isna().all()
    assert 0.3 < rows.loc[survey, "score"].notna().mean() < 0.7
    scores = rows[survey].groupby("kind")["score"].agg(["min", "max"])
    assert scores.loc["csat"].tolist() == [1, 5]
    assert scores.loc["nps"].tolist() == [0, 10]


def test_leaving_is_final_in_retail(retail):
    truth = retail.truth.to_pandas().query("left")
    left = pd.to_datetime(truth.groupby("customer_id")["as_of"].min())
    after = {}
    for name in ("transactions", "interactions", "feedback"):
        rows = retail.tables[name].to_pandas()
        after[name] = rows[rows["occurred_at"] >= rows["customer_id"].map(left)]
    assert len(left) > 1000
    assert after["transactions"].empty
    assert set(after["interactions"]["kind"]) == {"sent"}
    assert "nps" in set(after["feedback"]["kind"]) <= {"csat", "nps"}
    assert after["feedback"]["answered_at"].isna().all()


def test_some_prospects_never_buy_and_only_retail_has_them(simulated):
    buyers = simulated.tables["transactions"].to_pandas().query("kind == 'purchase'")["customer_id"].nunique()
    share = 1 - buyers / 3000
    assert 0.02 < share < 0.04 if simulated.mode == "retail" else share < 0.005


def test_only_subscriptions_have_contracts_usage_and_cancel_pages(simulated):
    kinds = set(simulated.tables["interactions"]["kind"].unique().to_pylist())
    contractual = simulated.mode == "subscription"
    assert ("contracts" in simulated.tables) == contractual
    assert kinds == {"sent", "opened", "call"} | ({"usage", "cancel_page"} if contractual else {"visit"})


# --- contracts ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contracts(subscription):
    return subscription.tables["contracts"].to_pandas()


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
    assert ((second["cancelled_at"] > second["starts_at"]) & (second["cancelled_at"] < second["ends_at"])).all()
    assert not second["customer_id"].duplicated().any()
    assert terms.loc[terms["cancelled_at"].notna(), "next_starts"].isna().all()


def test_every_term_is_paid_when_it_starts(subscription, terms):
    bought = subscription.tables["transactions"].to_pandas().query("kind == 'purchase'")
    paid = terms.merge(
        bought, left_on=["customer_id", "starts_at"], right_on=["customer_id", "occurred_at"], how="left"
    )
    missing = paid[paid["amount"].isna()]
    assert (missing["starts_at"] > END - pd.Timedelta(days=3)).all()  # paid, but not recorded by the end
    assert (paid["amount"].dropna() <= paid["price"][paid["amount"].notna()]).all()


def test_usage_needs_cover(subscription, terms):
    usage = subscription.tables["interactions"].to_pandas().query("kind == 'usage'")[["customer_id", "occurred_at"]]
    cover = terms[["customer_id", "starts_at", "ends_at"]].sort_values("starts_at")
    at = pd.merge_asof(usage, cover, left_on="occurred_at", right_on="starts_at", by="customer_id")
    assert (at["occurred_at"] < at["ends_at"]).all()


def test_cancel_pages_often_precede_cancelling_and_sometimes_nothing(subscription, terms):
    pages = subscription.tables["interactions"].to_pandas().query("kind == 'cancel_page'")
    cancelled = terms.dropna(subset="cancelled_at").set_index("customer_id")["cancelled_at"]
    ahead = cancelled.reindex(pages["customer_id"]).to_numpy() - pages["occurred_at"].to_numpy()
    near = pages[(ahead > np.timedelta64(0)) & (ahead < np.timedelta64(11, "D"))]
    assert 0.5 < near["customer_id"].nunique() / len(cancelled) < 0.9
    assert 0.2 < 1 - len(near) / len(pages) < 0.8


# --- files, edges, refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_files_hold_the_tables_and_a_valid_configuration(mode, tmp_path):
    simulated = simulate(customers=60, days=500, mode=mode, horizon_days=45)
    write(simulated, folder=tmp_path)
    for name, table in simulated.tables.items():
        types = csv.ConvertOptions(column_types=table.schema, strings_can_be_null=True)
        assert csv.read_csv(tmp_path / "data" / f"{name}.csv", convert_options=types) == table
    assert parquet.read_table(tmp_path / "truth" / "truth.parquet") == simulated.truth
    stated = tomllib.loads((tmp_path / "lifecycle.toml").read_text(encoding="utf-8"))
    assert set(stated["files"]) == set(stated["tables"]) == set(simulated.tables)
    assert stated["contract"]["data_until"] == "2023-05-16"
    assert stated["churn"]["horizon_days"] == 45
    loaded = settings.load(tmp_path / "lifecycle.toml")
    assert loaded.contractual == (mode == "subscription")
    assert all(settings.file_path(loaded, path).is_file() for path in loaded.files.values())


def evaluated(mode, folder, *, until):
    """The dates `write` has training looked at on, where the data end on `until`."""
    write(simulate(customers=9, days=(until - START).days, mode=mode), folder=folder)
    return settings.load(folder / "lifecycle.toml").training.evaluate


@pytest.mark.parametrize("mode", MODES)
def test_training_is_looked_at_on_the_newest_date_whose_outcomes_are_all_in(mode, tmp_path):
    newest = date(2023, 3, 1)
    until = newest + timedelta(days=60) + LATENCY[mode]
    assert evaluated(mode, tmp_path, until=until) == [newest]
    assert evaluated(mode, tmp_path, until=until - timedelta(days=1)) == [date(2023, 2, 1)]


@pytest.mark.parametrize("mode", MODES)
def test_training_is_looked_at_on_no_date_of_a_short_span(mode, tmp_path):
    settled = date(2022, 7, 1) + timedelta(days=60) + LATENCY[mode]
    for until in (date(2022, 2, 1), settled - timedelta(days=1)):  # no truth at all; truth, but not settled
        assert evaluated(mode, tmp_path, until=until) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("days", "seed"), [(1, 0), (40, 1), (300, 2), (1096, 3)])
def test_one_customer_works(mode, days, seed, tmp_path):
    simulated = simulate(customers=1, days=days, seed=seed, mode=mode)
    write(simulated, folder=tmp_path)
    assert simulated.tables["customers"]["customer_id"].to_pylist() == ["000001"]
    assert simulated.truth.schema == simulate(customers=5, mode=mode).truth.schema
    assert simulated.days == days


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "shop"}, "mode must be retail or subscription, got 'shop'"),
        ({"customers": 0}, "customers must be a whole number, at least 1, got 0"),
        ({"days": -3}, "days must be a whole number, at least 1, got -3"),
        ({"horizon_days": 0}, "horizon_days must be a whole number, at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number, at least 0, got -1"),
        ({"customers": 2.5}, "customers must be a whole number, at least 1, got 2.5"),
        ({"days": True}, "days must be a whole number, at least 1, got True"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate(**wrong)
