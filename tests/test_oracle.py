"""The oracle against the real thing, on random businesses and random futures."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction
from itertools import pairwise
from statistics import median, quantiles
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.core.instants import instant
from features.labels.outcomes import reachable_stages
from features.recipes.definitions import learn_definitions
from features.recipes.stages import STAGES
from tests.support import oracle
from tests.support.checks import nonempty
from tests.support.oracle import DAY, FOREVER, Standing, gaps_of, known, local_day, usual_gap
from tests.support.oracle_differences import refuse_differences
from tests.support.oracle_features import features as oracle_features
from tests.support.oracle_worlds import DATES, MULTIPLES, ZONES, World, real, world

EPOCH = date(1970, 1, 1).toordinal()
# What the oracle does not say: no formula in its docstring, tested in test_btyd, or no statement of
# its own.
UNTOLD = {"trend_ratio_all", "p_no_activity", "customer_id", "as_of", "stage_idle", "overdue_state"}
# A seed does not shrink to anything simpler; the failing customer's rows are what helps.
few = settings(max_examples=1, deadline=None, phases=(Phase.explicit, Phase.generate))
more = settings(few, max_examples=12)


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_features_stages_and_outcomes(archetype, seed):
    refuse_another_answer(seed, archetype)


@pytest.mark.long
@pytest.mark.slow
@more
@given(seed=st.integers(0, 2**32), archetype=st.sampled_from(("non-contractual", "contractual")))
def test_in_more_businesses_too_features_stages_and_outcomes(seed, archetype):
    refuse_another_answer(seed, archetype)


def refuse_another_answer(seed: int, archetype: str) -> None:
    """The second, slow implementation gives what the engine gives, for one random business."""
    made = world(seed, archetype)
    got = real(made)
    stated = (made.tables, made.as_of, made.settings, got.definitions)
    states, features, outcomes = (
        oracle.states(*stated),
        oracle_features(*stated, got.base),
        oracle.outcomes(*stated),
    )
    slow = {who: states[who] | features[who] | outcomes[who] for who in states}
    assert list(got.rows) == sorted(slow)
    assert all(got.rows[who].keys() - slow[who].keys() <= UNTOLD for who in nonempty(slow))
    refuse_differences(made, got.rows, slow)
    stayers = [(who, row["outcome_stage"]) for who, row in outcomes.items() if not row["churned"]]
    missed = [(who, stage) for who, stage in stayers if not got.allowed[who][STAGES.index(stage)]]
    assert not missed, "a stayer's stage was said to be out of reach"
    refuse_other_differences(made, got, slow)


def refuse_other_differences(
    made: World, got: SimpleNamespace, slow: dict[str, oracle.Row]
) -> None:
    """Who has no activity, money among customers, and the activity from before as_of recorded too
    late for it.
    """
    now, latency = known(made.tables, made.as_of), made.settings.churn.label_latency_days * DAY
    known_since = {
        row["customer_id"]: row["valid_from"] or row["acquired_at"]
        for row in made.tables["customers"]
    }
    everybody = {row["customer_id"] for rows in now.values() for row in rows}
    everybody |= {
        who for who, since in known_since.items() if since is not None and since < made.as_of
    }
    assert got.prospects == sorted(everybody - slow.keys())
    bought = [oracle.of_kind(oracle.of(who, now, "transactions"), "purchase") for who in everybody]
    totals = [sum(row["amount"] for row in rows) for rows in bought if rows]
    assert got.base.amount_quantiles == pytest.approx(
        quantiles(totals, n=20, method="inclusive"), rel=1e-9
    )
    then = known(made.tables, made.end + latency)[made.settings.activity.table]
    missed = [row for row in then if row["occurred_at"] < made.as_of <= row["recorded_at"]]
    assert got.late == len(oracle.of_kind(missed, *made.settings.activity.kinds))


@pytest.mark.slow
@pytest.mark.long
def test_ten_thousand_futures_stay_in_reach():
    rng, misses, ruled_out = random.Random(1), [], 0
    for _ in range(100):
        zone, horizon = rng.choice(ZONES), rng.choice((1, 2, 7, 30, 60))
        as_of = instant(rng.choice(DATES), zone=zone) + rng.choice((0, DAY - 1, rng.randrange(DAY)))
        base_gap, multiples = (
            rng.choice((DAY, 20 * DAY, rng.randrange(DAY, 90 * DAY))),
            rng.choice(MULTIPLES),
        )
        rules = SimpleNamespace(
            population_mean_gap_us=base_gap, horizon_days=horizon, multiples=multiples
        )
        futures = [random_future(rng, as_of, zone, rules) for _ in range(100)]
        for until in (None, FOREVER):
            allowed = reach([past for past, _ in futures], as_of, rules, until)
            ruled_out += np.sum(~allowed[:, 2:])
            for row, (past, new) in zip(allowed, futures, strict=True):
                days = past if until and rng.random() < 0.2 else past + new
                stage = Standing(days, as_of + horizon * DAY, rules, until).stage[0]
                misses += (
                    [] if row[STAGES.index(stage)] else [(stage, zone, as_of, rules, past, new)]
                )
    assert not misses, f"{len(misses)} futures out of reach, the first: {misses[0]}"
    assert ruled_out > 10_000


def reach(
    pasts: list[list[int]], as_of: int, rules: SimpleNamespace, until: int | None
) -> np.ndarray:
    """`reachable` for customers with these active days; with cover (`until`) they may also do
    nothing.
    """
    n, first, last = (np.array([value(past) for past in pasts]) for value in (len, min, max))
    idle = [
        Standing(past, as_of + rules.horizon_days * DAY, rules, until).stage[0] for past in pasts
    ]
    seen = {
        "n": n,
        "first_at": first,
        "last_at": last,
        "as_of": np.full(n.size, as_of),
        "definitions": rules,
    }
    return reachable_stages(
        **seen, stage_without_activity=np.array([STAGES.index(s) for s in idle]) if until else None
    )


def random_future(
    rng: random.Random, as_of: int, zone: str, rules: SimpleNamespace
) -> tuple[list[int], list[int]]:
    """Active days before as_of, and at least one further local day in the window, some at the very
    edges.
    """
    end, days = as_of + rules.horizon_days * DAY, {}
    at = as_of - rng.choice(
        (1, rng.randrange(1, 3 * DAY), rng.randrange(1, 12 * rules.population_mean_gap_us))
    )
    for _ in range(rng.choice((1, 1, 2, 3, 4, 6, 12))):
        days.setdefault(local_day(at, zone), at)
        at -= rng.choice(
            (DAY, rules.population_mean_gap_us, rng.randrange(1, 6 * rules.population_mean_gap_us))
        )
    # A local day's possible instants in the window; a day that was active before is no new one.
    inside = range(local_day(as_of, zone) + 1, local_day(end - 1, zone) + 1)
    midnights = [instant(date.fromordinal(EPOCH + day), zone=zone) for day in inside]
    spans = [
        span for span in pairwise([as_of, *midnights, end]) if local_day(span[0], zone) not in days
    ]
    count = min(rng.choice((1, 1, 2, 3, 4, 5, 8, 99)), len(spans))
    chosen = rng.choice(
        (sorted(rng.sample(spans, count)), spans[:count], spans[: count - 1] + spans[-1:])
    )
    return sorted(days.values()), [
        rng.choice((low, high - 1, rng.randrange(low, high))) for low, high in chosen
    ]


def came_back(
    closed: list[Fraction], waiting: list[Fraction], m3: Fraction
) -> tuple[int, Fraction | None]:
    """How many spells reached m3·g, and the share of them followed by activity."""
    back, out = sum(spell >= m3 for spell in closed), sum(spell >= m3 for spell in waiting)
    return back + out, Fraction(back, back + out) if back + out else None


def slow_multiples(closed: list[Fraction], waiting: list[Fraction]) -> list[Fraction]:
    if len(closed) < 500:
        return [Fraction(2), Fraction(4), Fraction(8)]
    points = quantiles(closed, n=100, method="inclusive")
    m2 = max((m1 := max(Fraction(5, 4), points[79])) * 3 / 2, points[94])
    m3 = max(m2 * 3 / 2, points[98])
    while (came_back(closed, waiting, m3)[1] or 0) > Fraction(1, 10) and m3 + Fraction(
        1, 4
    ) <= 4 * m2:
        m3 += Fraction(1, 4)
    return [m1, m2, m3]


@pytest.mark.slow
@pytest.mark.long
@settings(few, max_examples=4)
@given(seed=st.integers(0, 2**32), count=st.sampled_from((1, 40, 500, 500, 500)))
def test_learned_multiples(seed, count):
    made = world(seed, "non-contractual", count)
    definitions = learn_definitions(made.history().as_of(made.as_of), made.settings)
    now = known(made.tables, made.as_of)[made.settings.activity.table]
    people = [sorted(days.values()) for days in oracle.activity(now, made.settings).values()]
    gaps = [gap for days in people for gap in gaps_of(days)] or [
        made.settings.churn.horizon_days * DAY
    ]
    assert definitions.population_mean_gap_us == pytest.approx(
        Fraction(sum(gaps), len(gaps)), abs=1
    )
    assert definitions.median_gap_days == pytest.approx(median(gaps) / DAY)
    base_gap = definitions.population_mean_gap_us
    # A gap over g as it was known before the gap; a wait over g as it is.
    closed = [
        (days[k] - days[k - 1]) / usual_gap(days[:k], base_gap)
        for days in people
        for k in range(1, len(days))
    ]
    waiting = [(made.as_of - days[-1]) / usual_gap(days, base_gap) for days in people]
    stated = made.settings.stages.multiples
    wanted = [Fraction(m) for m in stated] if stated else slow_multiples(closed, waiting)
    assert definitions.gaps == len(closed)
    assert definitions.multiples == pytest.approx([float(m) for m in wanted], abs=1e-6)
    reached, share = came_back(closed, waiting, wanted[2])
    assert (definitions.reached_churned, definitions.reactivated_share) == (
        reached,
        None if share is None else float(share),
    )
