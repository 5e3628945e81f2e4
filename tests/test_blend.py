"""The blend: what its parts promise beyond what they were fitted on, and what the search may not
decide alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.recipes.recipe import FEATURES
from features.recipes.stages import STAGES
from serving.release import blend_files
from serving.scoring.cells import CellMargins
from serving.scoring.parts import Blend, Boosted, Linear
from tests.support.checks import nonempty
from training.models import blend_search, blending, churn, fit_cells, ridge
from training.models.blend_spec import BlendSpec
from training.splits import Folds

NAMES = ("up", "other")


def _world(kind: str, *, rows: int = 1200, seed: int = 3) -> tuple[np.ndarray, np.ndarray, Folds]:
    """Two columns; leaving follows the first one upwards, or is likeliest at both of its ends."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 2))
    z = 2 * matrix[:, 0] if kind == "rises" else 3 * np.abs(matrix[:, 0]) - 2
    labels = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)
    return (
        matrix,
        labels,
        Folds(((np.arange(rows // 2), np.arange(rows // 2, rows)),), "forward in time"),
    )


def _found(kind: str) -> tuple[BlendSpec, np.ndarray, np.ndarray]:
    matrix, labels, folds = _world(kind)
    found = blend_search.search_blend(
        matrix,
        labels,
        names=NAMES,
        outputs=1,
        folds=folds,
        trials=1,
        seconds=30,
        seed=7,
        label="churn",
        directions={"up": 1},
    )
    return found, matrix, labels


@pytest.fixture(scope="module")
def found_of(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(tmp_path_factory.mktemp("blend")))
        return {kind: _found(kind) for kind in ("rises", "bends")}


def test_a_certain_direction_is_kept_where_it_costs_nothing_and_dropped_where_it_does(found_of):
    assert found_of["rises"][0].directions == {"up": 1}
    assert found_of["bends"][0].directions == {}


@pytest.mark.parametrize("kind", ["rises", "bends"])
def test_boosters_follow_a_kept_direction_everywhere_and_a_dropped_one_nowhere(found_of, kind):
    found, matrix, labels = found_of[kind]
    blend = blending.fit_blend(found, matrix, labels, names=NAMES, outputs=1, seed=7)
    boosters = Blend(
        tuple((weight, part) for weight, part in blend.parts if isinstance(part, Boosted))
    )
    along = np.stack([np.linspace(-3, 3, 200), np.zeros(200)], axis=1)
    falls = np.diff(boosters.margins(along)[:, 0]) < 0
    assert falls.any() == (kind == "bends")


def test_the_boosters_have_different_seeds_and_equal_weights(found_of):
    found, matrix, labels = found_of["rises"]
    blend = blending.fit_blend(found, matrix, labels, names=NAMES, outputs=1, seed=7)
    boosters = [(weight, part) for weight, part in blend.parts if isinstance(part, Boosted)]
    count = blending.SEEDS
    assert [weight for weight, _ in boosters] == [pytest.approx(found.weight / count)] * count
    assert len({part.raw for _, part in boosters}) == count > 1
    assert sum(weight for weight, _ in blend.parts) == pytest.approx(1)


def test_one_fold_never_puts_all_weight_on_one_part(found_of):
    for found, _, _ in nonempty(found_of.values()):
        assert 0.375 <= found.weight <= 0.875
        assert found.losses["best_blend"] <= found.losses["blend"]
        assert (
            found.losses["best_blend"]
            <= min(found.losses["ridge"], found.losses["boosters"]) + 1e-12
        )


def test_directions_are_stated_with_the_features():
    stated = {name: entry.leaving for name, entry in FEATURES.items() if entry.leaving}
    assert churn.monotone_directions((*FEATURES, "not_ours")) == stated
    assert stated["recency"] == stated["p_no_activity"] == 1
    assert stated["past_retention_rate"] == -1


@given(st.floats(-1e12, 1e12, allow_nan=False), st.sampled_from([0, 1]))
def test_the_ridge_says_of_what_it_never_saw_what_it_says_of_the_nearest(value, column):
    matrix = np.array([[0.0, 5.0], [1.0, 5.001], [2.0, 5.0], [3.0, 5.002]])
    part = ridge.fit_ridge(matrix, np.array([0, 1, 0, 1]), strength=0.1, outputs=1)
    asked = np.array([[1.0, 5.001]])
    asked[0, column] = value
    nearest = asked.copy()
    nearest[0, column] = np.clip(value, matrix[:, column].min(), matrix[:, column].max())
    assert part.margins(asked) == pytest.approx(part.margins(nearest), abs=1e-9)


def test_a_ridge_without_ranges_is_read_as_it_was_written():
    part = Linear(np.zeros(1), np.ones(1), np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1))
    again = Linear.from_mapping(part.to_mapping())
    assert (again.low, again.high) == (None, None)
    assert again.margins(np.array([[1e9]])) == part.margins(np.array([[1e9]]))


def _design(stages: list[str], activities: list[float]) -> np.ndarray:
    one_hot = np.array([[stage == each for each in STAGES] for stage in stages], dtype=float)
    return np.hstack([np.array(activities, dtype=float)[:, None], one_hot, one_hot])


def test_cells_are_frequencies_backed_by_coarser_ones():
    columns = (fit_cells.ACTIVITIES,)
    matrix = _design(["new"] * 4 + ["loyal"] * 2, [1, 1, 1, 1, 9, 9])
    part = fit_cells.fit_cells(matrix, np.array([0, 0, 0, 1, 1, 1]), columns=columns, outputs=2)
    of_all = np.array([3 + 1, 3 + 1]) / 8
    of_new = (np.array([3, 1]) + 10 * of_all) / 14
    expected = (np.array([3, 1]) + 10 * of_new) / 14
    assert np.exp(part.margins(_design(["new"], [1]))[0]) == pytest.approx(expected)
    assert np.exp(part.margins(_design(["new"], [2]))[0]) == pytest.approx(
        of_new
    )  # nobody there: the stage's
    assert np.exp(part.margins(_design(["growing"], [2]))[0]) == pytest.approx(of_all)
    assert (
        part.margins(_design(["loyal"], [np.nan])) == part.margins(_design(["loyal"], [0]))
    ).all()
    assert (part.margins(_design(["loyal"], [6])) == part.margins(_design(["loyal"], [400]))).all()


def test_cells_without_the_count_of_activities_go_by_the_stage_alone():
    matrix = _design(["new"] * 4 + ["loyal"] * 2, [1, 1, 5, 5, 9, 9])
    part = fit_cells.fit_cells(
        matrix, np.array([0, 0, 1, 1, 1, 1]), columns=("something else",), outputs=2
    )
    assert (part.margins(_design(["new"], [1])) == part.margins(_design(["new"], [5]))).all()


def test_cells_are_the_same_after_a_release_and_for_one_row_as_for_many(tmp_path):
    rng = np.random.default_rng(5)
    matrix = _design(
        [STAGES[at] for at in rng.integers(0, 7, 300)], rng.integers(0, 12, 300).tolist()
    )
    part = fit_cells.fit_cells(
        matrix, rng.integers(0, 3, 300), columns=(fit_cells.ACTIVITIES,), outputs=3
    )
    blend = Blend(((1.0, part),))
    ((_, again),) = blend_files.read_blend(
        blend_files.write_blend(blend, "next_stage", tmp_path), tmp_path, ()
    ).parts
    assert isinstance(again, CellMargins)
    many = part.margins(matrix)
    assert (again.margins(matrix) == many).all()
    assert all((part.margins(matrix[at : at + 1])[0] == many[at]).all() for at in range(0, 300, 17))
    assert np.exp(many).sum(axis=1) == pytest.approx(1)


def test_the_next_stage_leans_on_the_cells_with_a_fixed_share(trained_shop):
    parts = trained_shop.release.scorer.next_stage.parts
    assert [weight for weight, part in parts if isinstance(part, CellMargins)] == [0.2]
    assert sum(weight for weight, _ in parts) == pytest.approx(1)
