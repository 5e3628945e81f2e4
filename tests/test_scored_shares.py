"""The estimate for everyone is what it would have been at the shares of the scored day."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.backtest.scored_shares import weigh_by_scored_shares


def figures(losses):
    count = len(losses)
    error = losses.std(ddof=1) / np.sqrt(count) if count > 1 else None
    return {
        "rows": count,
        "log_loss": float(losses.mean()) if count else None,
        "log_loss_error": None if error is None else float(error),
    }


def report(eligible, others):
    section = {
        "everyone": figures(np.concatenate([eligible, others])),
        "eligible": figures(eligible),
    }
    return {"churn": section, "next_stage": section}


@given(
    st.integers(2, 30),
    st.integers(2, 30),
    st.integers(2, 30),
    st.integers(2, 30),
    st.integers(0, 9),
)
def test_it_is_the_mean_of_both_groups_at_the_new_shares(m, n, scored_m, scored_n, seed):
    draw = np.random.default_rng(seed)
    eligible, others = draw.gamma(2, 0.3, m), draw.gamma(1, 0.1, n)
    scored = report(draw.gamma(2, 0.3, scored_m), draw.gamma(1, 0.1, scored_n))
    weighed = weigh_by_scored_shares(report(eligible, others), scored)["churn"]["everyone"]
    share = scored_m / (scored_m + scored_n)
    assert weighed["log_loss"] == pytest.approx(
        share * eligible.mean() + (1 - share) * others.mean()
    )
    errors = [each.std(ddof=1) / np.sqrt(len(each)) for each in (eligible, others)]
    assert weighed["log_loss_error"] == pytest.approx(
        np.hypot(share * errors[0], (1 - share) * errors[1]), abs=1e-6
    )
    assert weighed["unweighed_log_loss"] == pytest.approx(np.concatenate([eligible, others]).mean())


def test_a_day_with_one_group_changes_nothing():
    eligible, others = np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.2])
    both = report(eligible, others)
    for one_sided in (report(eligible, others[:0]), report(eligible[:1], others)):
        assert weigh_by_scored_shares(both, one_sided) == both
        assert weigh_by_scored_shares(one_sided, both) == one_sided
