"""Whether a lost cover was cancelled: the label by a second implementation, and `p_cancelled`."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US
from features.labels.event_times import event_matrix
from features.labels.leaving_cause import CANCELLED_COLUMN, observe_cancelled
from features.recipes.definitions import learn_definitions
from serving.release.curve_file import read_curve
from serving.release.json_files import write_json
from serving.scoring.curve import has_cover
from serving.scoring.curve_columns import CANCELS, answer_curve, curve_columns
from serving.scoring.curve_inputs import RHYTHM_COLUMNS, TERM_COLUMNS
from tests.support import oracle
from tests.support.businesses import scores
from tests.support.curves import GRID, feature_rows, random_curve
from tests.support.oracle_worlds import world
from training.evaluation.curve import judge_cancelled
from training.models.fit_curve import fit_curve
from training.reports.curve_text import curve_lines, curve_section

CONFIG = {
    "time": {"horizons_days": list(GRID)},
    "churn": {"horizon_days": 60},
    "business": {"archetype": "contractual"},
}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=2736)  # a term cut short by a cancellation after the window is not the last one
def test_who_cancelled_is_told_by_a_second_implementation(seed):
    made = world(seed, "contractual")
    history, config = made.history(), made.settings
    begin = made.as_of
    assume(begin + config.outcome_window_us <= history.data_until)
    known = history.as_of(begin)
    definitions = learn_definitions(known, config)
    people = sorted(oracle.outcomes(made.tables, begin, config, definitions))
    then = oracle.known(made.tables, begin + config.outcome_window_us)
    end = begin + config.churn.horizon_days * DAY_US
    expected = [oracle.cancelled(who, then, begin, end, config) for who in people]
    found = observe_cancelled(history, known, pa.chunked_array([people]), config)
    assert found.tolist() == expected


def labelled(seed: int, *, rows: int = 3000, share=0.5):
    """Feature rows of covered customers with p, events, and who cancelled: those with little risk
    of a lapse, `cancelled` = 1, more often where `share` is a function of the rows.
    """
    rng = np.random.default_rng(seed)
    table = feature_rows(rows, seed)
    p = np.clip(rng.beta(1, 2, rows), 1e-3, 1 - 1e-3)
    lost = rng.random(rows) < p
    renews = table["auto_renews"].to_numpy()
    says = share(renews) if callable(share) else np.full(rows, share)
    word = rng.random(rows) < says
    events = np.repeat(lost[:, None], len(GRID), axis=1).astype(np.int8)
    events[~has_cover(table)] = 1 - events[~has_cover(table)]
    table = table.append_column(CANCELLED_COLUMN, pa.array(word))
    return table.append_column("churned", pa.array(lost)), p, events


def fit(table, p, events):
    return fit_curve(
        table, p, events, GRID, 60, columns=(*RHYTHM_COLUMNS, *TERM_COLUMNS), contractual=True
    )


def renewing_say_so(renews):
    """Who renews by itself has to cancel; who does not just lets the term end."""
    return np.where(np.nan_to_num(renews) > 0, 0.9, 0.1)


def test_the_share_that_cancels_is_learned_from_those_who_left():
    curve = fit(*labelled(1, share=renewing_say_so))
    table, p, _ = labelled(2, share=renewing_say_so)
    says = curve.cancels(table, p)
    covered = has_cover(table)
    assert np.isnan(says[~covered]).all()
    assert (says[covered] <= p[covered]).all()
    share = says / p
    renews = np.nan_to_num(table["auto_renews"].to_numpy()) > 0
    assert share[covered & renews].mean() == pytest.approx(0.9, abs=0.05)
    assert share[covered & ~renews].mean() == pytest.approx(0.1, abs=0.05)


def test_where_all_cancel_the_share_keeps_its_distance_from_1():
    table, p, events = labelled(3, share=1.0)
    says = fit(table, p, events).cancels(table, p)[has_cover(table)] / p[has_cover(table)]
    assert says.min() > 0.98
    assert says.max() < 1


def test_where_no_cancellation_is_recorded_it_is_not_known_and_not_0():
    table, p, events = labelled(3, share=0.0)
    assert np.isnan(fit(table, p, events).cancels(table, p)).all()


def test_where_hardly_anybody_has_left_nothing_is_said():
    table, p, _ = labelled(4)
    stay = np.where(has_cover(table)[:, None], 0, 1).repeat(len(GRID), axis=1).astype(np.int8)
    curve = fit(table, p, stay)
    answers = answer_curve(curve, table, p, CONFIG)
    assert np.isnan(answers[CANCELS]).all()
    assert not np.isnan(answers["p_lost_60d"][has_cover(table)]).any()


def test_it_is_judged_among_those_who_left(trained_subscriptions):
    curve = fit(*labelled(5, share=renewing_say_so))
    table, p, events = labelled(6, share=renewing_say_so)
    each = judge_cancelled(curve, table, events, table, p)
    lost = has_cover(table) & table["churned"].to_numpy()
    assert each["rows"] == lost.sum()
    assert each["rate"] == table[CANCELLED_COLUMN].to_numpy()[lost].mean()
    assert each["mean_p"] == pytest.approx(each["rate"], abs=0.05)
    assert each["less_constant"]["high"] < 0
    report = trained_subscriptions.trained.evaluation["curve"] | {"cancelled": each}
    text = curve_lines({"curve": report})
    assert any("had cancelled" in line and f"{lost.sum():,}" in line for line in text)
    assert any("had cancelled" in line for line in curve_section({"curve": report}))


def test_scores_say_it_where_there_are_contracts(any_business):
    table, release = scores(any_business), any_business.release
    contractual = release.scorer.definitions.contractual
    assert (CANCELS in table.column_names) == contractual
    assert (CANCELS in curve_columns(release.config)) == contractual
    if not contractual:
        return
    rows = table.filter(table["p_churn"].is_valid())
    covered = np.array(rows["eligible"].to_pylist())
    says, p = rows[CANCELS].to_numpy(), rows["p_churn"].to_numpy()
    assert np.isnan(says[~covered]).all()
    assert ((says > 0) & (says < p))[covered].all()
    assert table.filter(table["p_churn"].is_null())[CANCELS].null_count == len(table) - len(rows)


def test_examples_hold_the_label_of_every_date(trained_subscriptions):
    examples, config = trained_subscriptions.examples, trained_subscriptions.settings
    rows = examples.rows
    for at in rows["as_of"].unique().to_pylist()[:2]:
        part = examples.rows_at([at])
        known = trained_subscriptions.history.as_of(at)
        again = observe_cancelled(trained_subscriptions.history, known, part["customer_id"], config)
        assert part[CANCELLED_COLUMN].to_pylist() == again.tolist()
    lost = has_cover(rows) & rows["churned"].to_numpy()
    assert 0 < rows[CANCELLED_COLUMN].to_numpy()[lost].mean() < 1
    assert (event_matrix(rows, config.curve_horizons) >= -1).all()


@pytest.mark.parametrize("change", ["none", "two intervals", "another column"])
def test_a_curve_with_another_cause_is_refused(change, tmp_path):
    config = SimpleNamespace(
        curve_horizons=GRID, churn=SimpleNamespace(horizon_days=60), contractual=True
    )
    columns = (*RHYTHM_COLUMNS, *TERM_COLUMNS)
    curve = random_curve(7, contractual=True)
    write_json(tmp_path / "curve.json", {"curve": curve.to_mapping()})
    assert read_curve(tmp_path, "x", config, columns).to_mapping() == curve.to_mapping()
    if change == "none":
        curve = replace(curve, cancelled=None)
    elif change == "two intervals":
        curve = replace(curve, cancelled=curve.covered)
    else:
        columns = RHYTHM_COLUMNS
    write_json(tmp_path / "curve.json", {"curve": curve.to_mapping()})
    with pytest.raises(errors.ReleaseRefused):
        read_curve(tmp_path, "x", config, columns)
