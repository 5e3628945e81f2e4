"""Cover that cannot end in the window: who that is, what can still be lost, and the floor where
nobody ever left.
"""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from features.core.instants import instant
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from serving.release import blend_files
from serving.scoring.calibration import Calibration
from serving.scoring.cannot_churn import KINDS, CannotChurn, kinds
from serving.scoring.parts import Blend, Rate, design_matrix
from tests.support import oracle
from tests.support.checks import nonempty
from tests.support.oracle import DAY
from tests.support.oracle_worlds import World, add, each_customer, real, settings_for, world
from training.evaluation import baselines
from training.examples import label_rows
from training.models import churn, fit_cannot_churn, ridge
from training.models.blend_spec import BlendSpec

# Horizon 30 days, grace 3; terms as start, end, cancelled in days from as_of: can_end,
# cancelled_beyond, churned.
WORKED = {
    "runs past the horizon": ([(-9, 40, None)], (0, 0, False)),
    "runs past it, and is cancelled in the window": ([(-9, 40, 3)], (0, 0, True)),
    "cancelled before, paid beyond": ([(-9, 90, -3)], (0, 1, False)),
    "ends with the window": ([(-9, 30, None)], (1, 0, True)),
    "renewed in advance": ([(-19, 1, None), (1, 61, None)], (0, 0, False)),
    "renewed in advance, the renewal cancelled in the window": (
        [(-19, 1, None), (1, 61, 9)],
        (0, 0, True),
    ),
    "renewed in advance, the renewal cancelled before": (
        [(-19, 1, None), (1, 61, -0.5)],
        (1, 0, True),
    ),
    "renewed in advance, to begin within grace": (
        [(-19, 0.5, None), (3.5, 61, None)],
        (0, 0, False),
    ),
    "renewed in advance, to begin after grace": (
        [(-19, 0.25, None), (3.5, 61, None)],
        (1, 0, True),
    ),
    "no cover": ([(-40, -10, None)], (None, None, True)),
}


@pytest.fixture(scope="module")
def worked():
    # A renewal in advance was agreed while the present term ran.
    return each_customer({name: terms for name, (terms, _) in WORKED.items()}, agreed=5)


@pytest.mark.parametrize("name", WORKED)
def test_worked_by_hand(worked, name):
    row, _ = worked[name]
    assert (row["can_end"], row["cancelled_beyond"], row["churned"]) == WORKED[name][1]


def test_a_cancellation_recorded_late_is_not_known():
    chosen = settings_for("contractual", {"horizon_days": 30})
    as_of = instant("2024-06-01", zone="UTC")

    def told(recorded_at: int) -> oracle.Row:
        made = World(random.Random(0), chosen, as_of, {name: [] for name in chosen.tables})
        since = {
            "starts_at": as_of - 9 * DAY,
            "ends_at": as_of + 90 * DAY,
            "recorded_at": as_of - 9 * DAY,
        }
        term = add(made, "contracts", "a", **since)
        made.tables["contracts"].append(
            term | {"cancelled_at": as_of - DAY, "recorded_at": recorded_at}
        )
        add(
            made,
            "transactions",
            "a",
            occurred_at=as_of - DAY,
            recorded_at=as_of - DAY,
            amount=1,
            kind="purchase",
        )
        return real(made, ("cover",)).rows["a"]

    for recorded_at, known in ((as_of, 0), (as_of - 1, 1)):
        row = told(recorded_at)
        assert (row["can_end"], row["cancelled_beyond"]) == (0, known)


@settings(max_examples=1, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32))
@pytest.mark.long
def test_cover_that_cannot_end_is_lost_by_cancellation_alone(seed):
    refuse_another_end(seed)


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 2**32))
def test_in_more_businesses_too_it_is_lost_by_cancellation_alone(seed):
    refuse_another_end(seed)


def refuse_another_end(seed):
    """Unless a correction moved an end: then what was known was not so."""
    made = world(seed, "contractual")
    until = made.end + made.settings.churn.label_latency_days * DAY
    then = oracle.known(made.tables, until)
    checked = 0
    for customer, row in real(made, ("cover",)).rows.items():
        terms = oracle.of(customer, then, "contracts")
        before = {
            (term["starts_at"], term["ends_at"])
            for term in oracle.of(customer, oracle.known(made.tables, made.as_of), "contracts")
        }
        moved = before - {(term["starts_at"], term["ends_at"]) for term in terms}
        if row["can_end"] == 0 and row["churned"] and not moved:
            assert any(made.as_of <= (term["cancelled_at"] or 0) < made.end for term in terms)
            assert row["cancelled_beyond"] == 0
            checked += 1
    assume(checked)


# The part of the model
# ----------------------------------------------------------------------------------------------

NAMES = ("recency", "can_end", "cancelled_beyond")


def design_of(rows: list[tuple]) -> np.ndarray:
    """The design of rows (recency, can_end, cancelled_beyond), the stages all 0."""
    return np.hstack([np.array(rows, dtype=float), np.zeros((len(rows), 14))])


ENDS, CANCELLABLE, SURE, NONE = (5, 1, 0), (5, 0, 0), (5, 0, 1), (5, np.nan, np.nan)


def test_kinds():
    matrix = design_of([ENDS, CANCELLABLE, SURE, NONE])
    assert [KINDS[k] for k in kinds(matrix[:, 1], matrix[:, 2])] == [
        "lapse",
        "cancellation",
        "nothing",
        "lapse",
    ]


@pytest.mark.parametrize(
    ("rows", "left", "never"),
    [
        ([ENDS] * 9 + [CANCELLABLE] * 30, 0, ("cancellation", "nothing")),
        ([ENDS] * 9 + [CANCELLABLE] * 29, 0, ("nothing",)),  # so few could be chance
        ([CANCELLABLE] * 99, 1, ("nothing",)),
        (
            [SURE] * 9 + [CANCELLABLE] * 99,
            1,
            ("cancellation",),
        ),  # corrected: it could be lost after all
        ([SURE] * 9 + [CANCELLABLE] * 99, 10, None),
    ],
)
def test_which_kinds_are_settled(rows, left, never):
    """The first `left` rows left."""
    found = fit_cannot_churn.fit_cannot_churn(
        design_of(rows), np.arange(len(rows)) < left, NAMES, contractual=True
    )
    assert (found.kinds if found else None) == never


def test_no_part_without_contracts_or_with_the_features_off():
    matrix, stayed = design_of([CANCELLABLE] * 50), np.zeros(50)
    assert fit_cannot_churn.fit_cannot_churn(matrix, stayed, NAMES, contractual=False) is None
    assert (
        fit_cannot_churn.fit_cannot_churn(matrix, stayed, ("recency", "can_end"), contractual=True)
        is None
    )


def contractual():
    return settings_for("contractual", {"horizon_days": 60})


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration("platt", 0.05, 0.05, 5.0),
        Calibration("beta", 0.05, 2.0, 5.0),
        Calibration("isotonic", 0.05, 0.05, 5.0, (-3.0, 2.0), (-2.0, 3.0)),
    ],
    ids=lambda one: one.kind,
)
def test_settled_rows_are_at_the_floor_under_every_calibration(calibration):
    linear = ridge.fit_ridge(
        design_of([ENDS, CANCELLABLE, (500, 1, 0)] * 20),
        np.tile([1, 0, 1], 20),
        strength=1.0,
        outputs=1,
    )
    blend = Blend(((1.0, linear), (1.0, CannotChurn((1, 2), ("cancellation", "nothing")))))
    margins = blend.margins(design_of([ENDS, CANCELLABLE, SURE, NONE]))[:, 0]
    p = np.clip(calibration.p(margins), 1e-4, 1 - 1e-4)
    assert (p[1:3] == 1e-4).all()
    assert (p[[0, 3]] > 1e-4).all()


def test_the_part_survives_being_written_and_is_one_rows_and_many_rows(tmp_path):
    blend = Blend(((1.0, Rate((0.3,))), (1.0, CannotChurn((1, 2), ("nothing",)))))
    stated = json.loads(json.dumps(blend_files.write_blend(blend, "churn", tmp_path)))
    again = blend_files.read_blend(stated, tmp_path, ())
    assert again == blend
    matrix = design_of([ENDS, CANCELLABLE, SURE, NONE] * 9)
    whole = again.margins(matrix)
    assert np.array_equal(
        np.vstack([again.margins(matrix[at : at + 1]) for at in range(36)]), whole
    )
    assert (whole[:, 0] < -900).tolist() == [False, False, True, False] * 9
    assert not blend.contributions(matrix).any()
    with pytest.raises(ValueError, match="cannot churn"):
        CannotChurn.from_mapping({"positions": [1, 2], "kinds": ["lapse"]})


# Fitted -------------------------------------------------------------------------------------------
# ------------------

FIXED = BlendSpec(0.01, {"max_leaves": 6, "learning_rate": 0.2}, 8, 0.5, {}, "")


@pytest.fixture(scope="module")
def rows(subscriptions):
    """(labelled rows of a subscription business at three instants, column names, its settings)."""
    _, stated, history = subscriptions
    at = [history.data_until - days * DAY for days in (280, 200, 120)]
    definitions = learn_definitions(history.as_of(at[0]), stated)
    chosen = columns_for(history, definitions, stated)
    made = [
        label_rows(history, stated, one, definitions=definitions, columns=chosen)[0] for one in at
    ]
    return pa.concat_tables(made).combine_chunks(), tuple(column.name for column in chosen), stated


@pytest.mark.slow
@pytest.mark.long
def test_where_nobody_ever_cancelled_the_floor_is_said(rows):
    table, names, stated = rows
    can_end = table["can_end"].to_numpy()
    stays = pa.array(table["churned"].to_numpy() & (can_end != 0))
    table = table.set_column(table.column_names.index("churned"), "churned", stays)
    blend, calibration = churn.fit_churn_model(
        FIXED,
        table,
        names,
        outcome_window_us=stated.outcome_window_us,
        seed=stated.training.seed,
        contractual=True,
    )
    edge = 1 / (2 * table.num_rows)
    p = np.clip(calibration.p(blend.margins(design_matrix(table, names))[:, 0]), edge, 1 - edge)
    assert (can_end == 0).sum() >= 30
    assert (p[can_end == 0] == edge).all()
    assert (p[can_end != 0] > edge).all()
    margin = churn.out_of_fold_margins(
        FIXED, table, names, seed=stated.training.seed, contractual=True
    )
    assert np.array_equal(np.isnan(margin), can_end == 0)  # nor do they move calibration


def test_cancellations_that_happened_are_the_models(rows):
    table, names, stated = rows
    kind = kinds(table["can_end"].to_numpy(), table["cancelled_beyond"].to_numpy())
    assert table["churned"].to_numpy()[kind == 1].any()
    assert (kind == 2).any()
    blend, calibration = churn.fit_churn_model(
        FIXED,
        table,
        names,
        outcome_window_us=stated.outcome_window_us,
        seed=stated.training.seed,
        contractual=True,
    )
    p = calibration.p(blend.margins(design_matrix(table, names))[:, 0])
    assert (p[kind == 1] > 1e-6).all()
    assert (p[kind == 2] < 1e-6).all()


def test_the_renewal_rate_is_that_of_the_plan_and_the_days_left(rows):
    table, _, stated = rows
    p = baselines.churn_baselines(
        table, table, outcome_window_us=stated.outcome_window_us, contractual=stated.contractual
    )["renewal rate"]
    y, can_end = table["churned"].to_numpy(), table["can_end"].to_numpy()
    cells = [
        can_end,
        table["cancelled_beyond"].to_numpy(),
        table["term_days"].to_numpy(),
        table["auto_renews"].to_numpy(),
    ]
    left = (table["cover_until"].to_numpy() - table["as_of"].to_numpy()) / DAY
    of = np.stack([*cells, np.searchsorted(baselines.DAYS_LEFT, left)], axis=1)
    of = np.where(np.isnan(can_end)[:, None], -1, of)
    for cell in nonempty(np.unique(of, axis=0)):
        mine = (of == cell).all(axis=1)
        assert len(np.unique(p[mine])) == 1
        low, high = sorted((y[mine].mean(), p[mine][0]))
        # Ten rows of the coarser cell stand behind it.
        assert high - low <= 10 / (mine.sum() + 10) + 1e-9
    assert p[can_end == 1].mean() > p[can_end == 0].mean()


@pytest.mark.long
def test_without_contracts_there_is_no_renewal_rate_and_without_the_features_days_left_do(rows):
    table, _, stated = rows
    bare = table.drop_columns(["can_end", "cancelled_beyond", "term_days", "auto_renews"])
    p = baselines.churn_baselines(
        bare, bare, outcome_window_us=stated.outcome_window_us, contractual=stated.contractual
    )
    assert np.isfinite(p["renewal rate"]).all()
    assert "renewal rate" not in baselines.churn_baselines(
        table, table, outcome_window_us=stated.outcome_window_us, contractual=False
    )
