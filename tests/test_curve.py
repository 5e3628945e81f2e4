"""The curve: labels of every horizon by a second implementation; it goes through p, never falls,
and agrees at every door.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.core import errors
from features.core.instants import DAY_US
from features.core.settings import settings_from_mapping
from features.labels.event_times import (
    NOT_KNOWN,
    YES,
    event_matrix,
    observe_events,
    with_event_columns,
    with_horizon,
)
from features.recipes.definitions import learn_definitions
from serving.release.curve_file import read_curve
from serving.release.json_files import write_json
from serving.scoring.curve import has_cover
from serving.scoring.curve_columns import (
    ENDS_AT,
    EXPECTED,
    answer_curve,
    curve_columns,
    curve_warnings,
)
from serving.scoring.curve_inputs import GONE, RHYTHM_COLUMNS
from tests.support import oracle
from tests.support.businesses import scores
from tests.support.curves import GRID, feature_rows, random_curve
from tests.support.oracle_worlds import world
from training.evaluation.curve_baselines import _kaplan_meier
from training.models.fit_curve import fit_curve, known_before

few = settings(max_examples=1, deadline=None, phases=(Phase.explicit, Phase.generate))


@pytest.mark.parametrize("archetype", ["non-contractual", "contractual"])
@few
@given(seed=st.integers(0, 2**32))
def test_labels_of_every_horizon_are_those_of_a_second_implementation(archetype, seed):
    made = world(seed, archetype)
    history, config = made.history(), made.settings
    known = history.as_of(made.as_of)
    definitions = learn_definitions(known, config)
    people = pa.chunked_array(
        [sorted(oracle.outcomes(made.tables, made.as_of, config, definitions))]
    )
    events = observe_events(history, known, people, config)
    states = oracle.states(made.tables, made.as_of, config, definitions)
    for at, days in enumerate(config.curve_horizons):
        part = with_horizon(config, days)
        if made.as_of + part.outcome_window_us > history.data_until:
            assert (events[:, at] == NOT_KNOWN).all()
            continue
        outcomes = oracle.outcomes(made.tables, made.as_of, part, definitions)
        for customer, event in zip(people.to_pylist(), events[:, at].tolist(), strict=True):
            covered = archetype == "contractual" and states[customer]["eligible"]
            assert (event == YES) == (outcomes[customer]["churned"] == covered), (days, customer)


def test_the_label_at_the_horizon_is_churn_and_activity_once_come_has_come(any_business):
    examples, config = any_business.examples, any_business.settings
    rows, horizons = examples.rows, config.curve_horizons
    events = event_matrix(rows, horizons)
    churned = rows["churned"].to_numpy(zero_copy_only=False)
    covered = has_cover(rows) if config.contractual else np.zeros(len(churned), bool)
    at = horizons.index(config.churn.horizon_days)
    assert (events[:, at] != NOT_KNOWN).all()
    assert ((events[:, at] == YES) == (churned == covered)).all()
    for before, after in zip(events.T[:-1], events.T[1:], strict=True):
        known = ~covered & (before != NOT_KNOWN) & (after != NOT_KNOWN)
        assert not (known & (before == YES) & (after != YES)).any()


@given(seed=st.integers(0, 10**6), contractual=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_curve_never_falls_and_goes_through_p_to_the_bit(seed, contractual):
    rng = np.random.default_rng(seed)
    rows = feature_rows(60, seed)
    p = np.clip(rng.beta(0.3, 0.3, 60), 1e-5, 1 - 1e-5)
    curve = random_curve(seed, contractual=contractual)
    within = curve.event_within(rows, p)
    covered = has_cover(rows) if contractual else np.zeros(60, bool)
    assert (within[:, GRID.index(60)] == np.where(covered, p, 1 - p)).all()
    assert ((within >= 0) & (within <= 1)).all()
    assert (np.diff(within, axis=1) >= 0).all()
    order = rng.permutation(60)
    assert (curve.event_within(rows.take(pa.array(order)), p[order]) == within[order]).all()
    alone = [curve.event_within(rows.slice(k, 1), p[k : k + 1])[0] for k in range(5)]
    assert (np.array(alone) == within[:5]).all()


def test_the_expected_day_is_where_the_event_is_as_probable_as_not():
    curve = random_curve(1)
    within = np.array(
        [
            [0.2, 0.6, 0.7, 0.8, 0.9],
            [0.1, 0.2, 0.3, 0.4, 0.49],
            [0.6, 0.7, 0.8, 0.9, 1.0],
            [0.1, 0.2, 0.3, np.nan, np.nan],
            [0.1, 0.2, 0.5, np.nan, np.nan],
        ]
    )
    days = curve.expected_days(within)
    # Between 7 and 30 days log S is a line from log .8 to log .4.
    assert days[0] == pytest.approx(7 + 23 * np.log(0.8 / 0.5) / np.log(0.8 / 0.4))
    assert days[2] == pytest.approx(7 * np.log(0.5) / np.log(0.4))
    assert np.isnan(days[[1, 3]]).all()
    assert days[4] == 60


def test_hazards_are_learned_from_who_was_still_waiting():
    """Waits of one exponential law: its survival is found, though the older rows alone know the
    late horizons."""
    rng = np.random.default_rng(3)
    count = 40_000
    rows = feature_rows(count, 3)
    waits = rng.exponential(60, count)
    events = (waits[:, None] < np.array(GRID)).astype(np.int8)
    events[: count // 2, 3:] = NOT_KNOWN
    p = np.full(count, np.exp(-1.0))
    curve = fit_curve(rows, p, events, GRID, 60, columns=RHYTHM_COLUMNS, contractual=False)
    within = curve.event_within(rows.slice(0, 500), p[:500]).mean(axis=0)
    assert within == pytest.approx(1 - np.exp(-np.array(GRID) / 60), abs=0.01)
    assert curve.waiting.rows.tolist() == [
        count,
        *((waits >= days).sum() for days in GRID[:2]),
        (waits[count // 2 :] >= 60).sum(),
        (waits[count // 2 :] >= 90).sum(),
    ]


@pytest.mark.parametrize("came", [0, 1])
def test_where_all_are_alike_the_hazards_keep_their_distance_from_0_and_1(came):
    rows = feature_rows(200, 4)
    p = np.full(200, 0.5)
    events = np.full((200, len(GRID)), came, dtype=np.int8)
    curve = fit_curve(rows, p, events, GRID, 60, columns=(), contractual=False)
    within = curve.event_within(rows, p)
    assert ((within >= 0) & (within <= 1)).all()
    # After everybody's event nobody waits, and that is known.
    assert curve.known_horizons(curve.waiting) == GRID
    assert (within[:, GRID.index(60)] == 0.5).all()


def test_a_group_without_history_is_warned_of_alone():
    config = {
        "time": {"horizons_days": list(GRID)},
        "churn": {"horizon_days": 60},
        "business": {"archetype": "contractual"},
    }
    curve, rows = random_curve(8, contractual=True), feature_rows(50, 8)
    short = replace(curve.covered, rows=np.array([9, 9, 9, 0, 0]))
    marks = curve_warnings(replace(curve, covered=short), rows, config)
    assert marks == [f"{ENDS_AT}60d" if covered else None for covered in has_cover(rows)]
    answers = answer_curve(replace(curve, covered=short), rows, np.full(50, 0.3), config)
    assert np.isnan(answers["p_lost_90d"]).all()
    assert np.isnan(answers["p_return_90d"]).tolist() == has_cover(rows).tolist()
    nobody = replace(curve.covered, rows=np.zeros(5, dtype=int))
    answers = answer_curve(replace(curve, covered=nobody), rows, np.full(50, 0.3), config)
    assert set(answers["p_lost_60d"][has_cover(rows)]) == {0.3}
    assert curve_warnings(None, rows, config) == [f"{ENDS_AT}0d"] * 50


def test_what_was_not_known_at_the_evaluation_teaches_nothing():
    rng = np.random.default_rng(5)
    events = (rng.exponential(80, 500)[:, None] < np.array(GRID)).astype(np.int8)
    as_of = np.repeat([0, 100 * DAY_US], 250)
    other = events.copy()
    other[250:, 2:] = 1 - other[250:, 2:]
    seen = [
        known_before(each, as_of, GRID, latency_days=5, at=(100 + 35) * DAY_US)
        for each in (events, other)
    ]
    assert (seen[0] == seen[1]).all()
    assert (seen[0][250:, :2] == events[250:, :2]).all()
    assert (seen[0][250:, 2:] == NOT_KNOWN).all()
    assert (seen[0][:250, :4] == events[:250, :4]).all()
    assert (seen[0][:250, 4] == NOT_KNOWN).all()


def test_scores_of_every_business_carry_the_curve(any_business):
    table, release = scores(any_business), any_business.release
    names = curve_columns(release.config)
    rows = table.filter(table["p_churn"].is_valid())
    p = rows["p_churn"].to_numpy()
    horizon = release.scorer.definitions.horizon_days
    contractual = release.scorer.definitions.contractual
    first = f"p_{'lost' if contractual else 'active'}_{horizon}d"
    values = {name: rows[name].to_numpy() for name in names}
    if contractual:
        covered = np.array(rows["eligible"].to_pylist())
        assert (values[first][covered] == p[covered]).all()
        assert np.isnan(values[first][~covered]).all()
        gone = ~covered
    else:
        assert (values[first] == 1 - p).all()
        gone = np.isin(rows["stage"].to_pylist(), GONE)
    assert (values[f"p_return_{horizon}d"][gone] == 1 - p[gone]).all()
    assert np.isnan(values[f"p_return_{horizon}d"][~gone]).all()
    assert np.nanmin(values[EXPECTED]) > 0
    prospects = table.filter(table["p_churn"].is_null())
    assert all(prospects[name].null_count == prospects.num_rows for name in names)
    expected = curve_warnings(release.curve, rows, release.config)
    for warnings, mark in zip(rows["warnings"].to_pylist(), expected, strict=True):
        assert [each for each in warnings if each.startswith(ENDS_AT)] == [mark] * bool(mark)


def test_every_scorer_of_a_release_has_the_same_curve_through_its_own_p(trained_shop):
    rows = trained_shop.examples.rows.slice(0, 200)
    release = trained_shop.release
    for each in release.sub_releases:
        p = each.scorer.p_churn(rows)
        answers = answer_curve(release.curve, rows, p, release.config)
        assert (answers["p_active_60d"] == 1 - p).all()
    # It reads nothing of a table that may be missing.
    tables = {c.name: set(c.feature.tables) for c in release.columns}
    assert all(tables[name] <= {"activity"} for name in release.curve.waiting.columns)


def test_kaplan_meier_by_group_is_that_of_a_count_by_hand():
    rows, rng = feature_rows(300, 6), np.random.default_rng(6)
    events = (rng.exponential(50, 300)[:, None] < np.array(GRID)).astype(np.int8)
    events[:100, 3:] = NOT_KNOWN
    answers = _kaplan_meier(rows, events, rows, contractual=False)
    people = list(zip(rows["stage"].to_pylist(), rows["n"].to_pylist(), strict=True))
    for k in (0, 17, 250):
        survives = 1.0
        for at in range(len(GRID)):
            waiting = [i for i in range(300) if (at == 0 or events[i, at - 1] == 0)]
            waiting = [i for i in waiting if events[i, at] != NOT_KNOWN]
            mine = [i for i in waiting if group_of(people[i]) == group_of(people[k])]
            everybody = (sum(events[i, at] for i in waiting) + 0.5) / (len(waiting) + 1)
            hits = sum(events[i, at] for i in mine)
            survives *= 1 - (hits + 10 * everybody) / (len(mine) + 10)
            assert answers[k, at] == pytest.approx(1 - survives, rel=1e-12)


def group_of(person: tuple[str, int]) -> tuple[str, int]:
    return person[0], sum(person[1] >= first for first in (1, 2, 4, 8, 16))


@pytest.mark.parametrize(
    "change",
    [
        {"horizons": [7, 30, 60, 90]},
        {"horizon": 90},
        {"covered": "waiting"},
        {"waiting.columns": ["recency", "recency"]},
        {"waiting.columns": ["cancelled"]},
        {"waiting.intercepts": [0.0]},
        {"waiting.weights": [[0.0]] * 5},
        {"waiting.rows": [-1] * 5},
        {"waiting.scale.scale": [0.0] * 9},
        {"waiting.with_terms": True},
        {"more": 1},
    ],
)
def test_a_curve_that_breaks_its_rules_is_refused(change, tmp_path):
    config = SimpleNamespace(
        curve_horizons=GRID, churn=SimpleNamespace(horizon_days=60), contractual=False
    )
    good = random_curve(7).to_mapping()
    write_json(tmp_path / "curve.json", {"curve": good})
    again = read_curve(tmp_path, "x", config, RHYTHM_COLUMNS)
    assert again.to_mapping() == good
    for path, value in change.items():
        *where, last = path.split(".")
        place = good
        for key in where:
            place = place[key]
        place[last] = good["waiting"] if value == "waiting" else value
    write_json(tmp_path / "curve.json", {"curve": good})
    with pytest.raises(errors.ReleaseRefused):
        read_curve(tmp_path, "x", config, RHYTHM_COLUMNS)


def test_a_curve_whose_columns_the_release_does_not_build_is_refused(tmp_path):
    config = SimpleNamespace(
        curve_horizons=GRID, churn=SimpleNamespace(horizon_days=60), contractual=False
    )
    write_json(tmp_path / "curve.json", {"curve": random_curve(7).to_mapping()})
    with pytest.raises(errors.ReleaseRefused):
        read_curve(tmp_path, "x", config, ("recency",))


def test_horizons_of_the_configuration(tmp_path):
    base = {"tables": {"transactions": "SELECT 1"}}
    made = settings_from_mapping(
        base | {"time": {"horizons_days": [30, 7]}, "churn": {"horizon_days": 45}},
        folder=tmp_path,
        where="x",
    )
    assert made.curve_horizons == (7, 30, 45)
    for wrong in ([7, 7], [], [0], [5000]):
        with pytest.raises(errors.BadSetting) as caught:
            settings_from_mapping(
                base | {"time": {"horizons_days": wrong}}, folder=tmp_path, where="x"
            )
        assert "horizons_days" in str(caught.value)


def test_event_columns_come_back_as_they_were():
    events = np.array([[NOT_KNOWN, 0, 1], [1, 1, NOT_KNOWN]], dtype=np.int8)
    rows = with_event_columns(pa.table({"x": [1, 2]}), events, (7, 30, 60))
    assert rows["event_within_7d"].to_pylist() == [None, True]
    assert (event_matrix(rows, (7, 30, 60)) == events).all()
