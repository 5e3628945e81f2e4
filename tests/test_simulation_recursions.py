"""The recursions of the simulation, once more: forwards, slowly and obviously."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lifecycle.simulation import retail as shop
from lifecycle.simulation import simulate, world
from lifecycle.simulation import subscription as subs
from lifecycle.simulation.actions import ACTIONS, EFFECT_DAYS


def test_retail_recursion_equals_walking_forwards_from_the_evening_before():
    level, buys, day, horizon = (
        np.array([[3, 1, 0], [0, 4, 0]]),
        np.array([0.03, 0.05, 0.03]),
        1,
        40,
    )
    lives = world.Lives(
        level, level > 9, np.array([1, world.NEVER, 0])
    )  # the third left the day before
    p, left = shop._leave_probability(SimpleNamespace(purchase_probability=buys), lives, horizon)(
        day
    )
    assert left.tolist() == [False, False, True]
    assert p == pytest.approx([silence(3, 0.03, horizon), silence(1, 0.05, horizon), 1.0])


@pytest.mark.parametrize("horizon", [40, 75])
def test_an_action_changes_the_hazards_of_its_first_days_alone(horizon):
    level, buys = np.array([[3, 1, 0], [0, 4, 0]]), np.array([0.03, 0.05, 0.03])
    lives = world.Lives(level, level > 9, np.array([world.NEVER, world.NEVER, 0]))
    people = SimpleNamespace(purchase_probability=buys, segment=np.array([0, 2, 1]))
    p, _, *under = shop._leave_probability(people, lives, horizon, ACTIONS)(1)
    for action, row in zip(ACTIONS, under, strict=True):
        for who in (0, 1):
            felt = people.segment[who] in action.segments
            factors = np.array(action.hazard if felt else [1.0] * 5)
            expected = silence(level[0, who], buys[who], horizon, factors)
            assert row[who] == pytest.approx(expected)
        assert row[2] == 1.0  # nobody comes back who has left for good
    assert p[:2] == pytest.approx([silence(3, 0.03, horizon), silence(1, 0.05, horizon)])


@pytest.fixture(scope="module")
def shop_with_trial():
    return simulate(customers=20_000, seed=11, actions=True)


@pytest.mark.parametrize("arm", range(len(ACTIONS) + 1))
@pytest.mark.long
def test_treated_customers_leave_as_the_truth_says(arm, shop_with_trial):
    business = shop_with_trial
    rows = business.tables["treatments"].to_pandas()
    names = [*(action.name for action in ACTIONS), None]
    ours = rows[rows["action"].isna() if names[arm] is None else rows["action"] == names[arm]]
    sales = business.tables["transactions"].to_pandas()
    start = rows["occurred_at"].iloc[0].normalize()
    at = sales["occurred_at"]
    window = (at >= start) & (at < start + pd.Timedelta(days=60)) & (sales["kind"] == "purchase")
    left = 1 - ours["customer_id"].isin(sales[window]["customer_id"]).mean()
    truth = business.truth.to_pandas()
    day = pd.to_datetime(truth["as_of"])
    nearest = truth[day == day[day <= start].max()]
    column = "p_leave" if names[arm] is None else f"p_leave_{names[arm]}"
    expected = nearest.set_index("customer_id")[column].reindex(ours["customer_id"]).mean()
    # The nearest month began a few days before the trial: some left in between.
    assert left == pytest.approx(expected, abs=0.035)


def silence(level, buys, horizon, factors=1.0):
    here, left = np.eye(5)[level], 0.0
    for day in range(horizon):
        here = here @ world.transition_matrix()
        hazard = world.LEAVES * (factors if day < EFFECT_DAYS else 1.0)
        left += here @ hazard
        here = here * (1 - hazard) * (1 - buys)
    return left + here.sum()


@pytest.mark.parametrize("annual", [False, True])
@pytest.mark.parametrize("auto_renew", [False, True])
def test_subscription_recursion_equals_walking_forwards_from_the_evening_before(annual, auto_renew):
    status = [
        subs.RUNNING,
        subs.RUNNING,
        subs.DECIDED,
        subs.WAITING,
        subs.WAITING,
        subs.CANCELLED,
        subs.CANCELLED,
    ]
    term, horizon, day, level = int(subs.TERM_DAYS[int(annual)]), 40, 1, [0, 3, 2, 1, 4, 4, 4]
    days_left = np.array([term - 1, 9, 4, term - 1, term + 3, 40, 39])
    alike = np.ones(len(status), bool)
    cover = subs.Cover(
        np.array([status, alike * subs.GONE]),
        np.array([days_left + day, alike * 0]),
        np.empty((4, 0)),
    )
    plans = subs.Plans(alike & annual, alike & auto_renew)
    p, left = subs._leave_probability(plans, cover, np.array([level, alike * 0]), horizon)(day)
    starts = [
        ("running", 0, term - 1),
        ("running", 3, 9),
        ("decided", 2, 4),
        ("running", 1, term - 1),
        (4, 4, None),
    ]
    assert p == pytest.approx(
        [*(leaves(start, annual, auto_renew, horizon) for start in starts), 0.0, 1.0]
    )
    assert left.tolist() == [False] * 5 + [True] * 2


def leaves(start, annual, auto_renew, horizon):
    here = {start: 1.0}
    for _ in range(horizon):
        tomorrow = Counter()
        for state, share in here.items():
            for chance, following in (
                [(1.0, state)] if state == "left" else one_day(*state, annual, auto_renew)
            ):
                tomorrow[following] += share * chance
        here = tomorrow
    return here["left"]


def one_day(status, level, days_left, annual, auto_renew):
    """(chance, state tomorrow) of running or decided with days left, or of waiting so many days for
    a new term.
    """
    fresh = int(subs.TERM_DAYS[int(annual)]) - 1
    for to, step in enumerate(world.transition_matrix()[level]):
        if status not in ("running", "decided"):
            yield step, ("running", to, fresh) if status == 1 else (status - 1, to, None)
            continue
        decides = (
            1.0 if status == "decided" else subs.hazard(to, days_left=days_left, annual=annual)
        )
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
    late = [
        (renews * share, (pause, level, None)) for pause, share in enumerate(subs.LATE) if pause
    ]
    return [(1 - renews, "left"), (renews * subs.LATE[0], ("running", level, fresh)), *late]
