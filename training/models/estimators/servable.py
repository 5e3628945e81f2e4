"""From a fitted estimator to a part that a release can hold: numbers or trees, never pickle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from serving.scoring.parts import Boosted, Forest, Linear, Part, sigmoid
from training.models.estimators.catboost_trees import catboost_trees
from training.models.estimators.fitted_estimator import FittedEstimator, probability
from training.models.estimators.lightgbm_trees import lightgbm_trees
from training.models.estimators.linear_models import (
    Preparation,
    after_step,
    linear_part,
    no_preparation,
)
from training.models.estimators.not_servable import NotServable
from training.models.estimators.sklearn_trees import (
    gradient_boosting,
    histogram_boosting,
    probability_tree,
)
from training.models.estimators.tree_nodes import LEAF, Tree, to_booster

TOLERANCE = 1e-5  # of a probability: leaves and sums are float32
CHECKED_ROWS = 10_000
LINEAR = ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier")
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier")
TREES = ("DecisionTreeClassifier", "ExtraTreeClassifier")
XGBOOST = ("XGBClassifier", "XGBRFClassifier")
BOOSTINGS: dict[str, Callable[[Any], tuple[list[Tree], float]]] = {
    "GradientBoostingClassifier": gradient_boosting,
    "HistGradientBoostingClassifier": histogram_boosting,
    "CatBoostClassifier": catboost_trees,
    "LGBMClassifier": lambda model: (lightgbm_trees(model), 0.0),
}
SERVED = "linear models, scikit-learn's trees, forests and boosting, XGBoost, LightGBM and CatBoost"


def to_part(fitted: FittedEstimator, matrix: np.ndarray) -> Part:
    """The part that answers as the estimator does; NotServable says why there is none.

    Compared with the estimator on rows of `matrix` (rows, columns), also with values of other rows
    and with nulls in them: no probability may differ by more than TOLERANCE.
    """
    part = _part(fitted.model, fitted.names)
    if isinstance(part, Linear):  # a column that was 0 in training counts nothing later
        part = replace(
            part,
            weights=np.where(fitted.learned, part.weights, 0.0),
            missing=np.where(fitted.learned, part.missing, 0.0),
        )
    rows = mixed_rows(matrix)
    try:
        expected = probability(fitted.model, rows, fitted)
    except ValueError:  # it takes no null, or no infinite value, which nothing takes
        rows = np.where(np.isnan(rows), 0.0, rows)
        expected = probability(fitted.model, rows, fitted)
    worst = np.abs(sigmoid(part.margins(rows)[:, 0]) - expected).max(initial=0.0)
    if not worst <= TOLERANCE:
        raise NotServable(f"its export differs from it by {worst:.2g} in a probability")
    return part


def mixed_rows(matrix: np.ndarray) -> np.ndarray:
    """Up to CHECKED_ROWS rows: values of different rows in one, and a tenth of them null."""
    draw = np.random.default_rng(0)
    count = min(CHECKED_ROWS, max(len(matrix), 1) * 4)
    taken = draw.integers(0, len(matrix), (count, matrix.shape[1]))
    rows = matrix[taken, np.arange(matrix.shape[1])]
    rows[: len(matrix) // 2] = matrix[: len(rows)][: len(matrix) // 2]
    rows[draw.random(rows.shape) < 0.1] = np.nan
    return rows


def _part(model: Any, names: tuple[str, ...]) -> Part:
    prepared, model = _unwrap(model, len(names))
    kind = type(model).__name__
    _refuse_other_classes(model)
    if kind in LINEAR:
        if kind == "SGDClassifier" and model.loss != "log_loss":
            raise NotServable("its loss is not log_loss, so its probabilities are no logistic ones")
        return linear_part(model, prepared)
    if kind not in (*BOOSTINGS, *FORESTS, *TREES, *XGBOOST):
        raise NotServable(f"{kind} has no export; {SERVED} have")
    if kind in XGBOOST:
        _refuse_preparation(prepared, imputes=False)
        return _own_booster(model, names)
    _refuse_preparation(prepared, imputes=True)
    if kind in BOOSTINGS:
        trees, start = BOOSTINGS[kind](model)
        return to_booster(_with_nulls(trees, prepared), names, start=start)
    grown = [each.tree_ for each in model.estimators_] if kind in FORESTS else [model.tree_]
    trees = [probability_tree(tree, 1) for tree in grown]
    mean = [replace(tree, value=tree.value / len(trees)) for tree in trees]
    return Forest(to_booster(_with_nulls(mean, prepared), names).raw, names)


def _unwrap(model: Any, columns: int) -> tuple[Preparation, Any]:
    """(what a pipeline does with the columns, its classifier)."""
    prepared = no_preparation(columns)
    if type(model).__name__ != "Pipeline":
        return prepared, model
    for _, step in model.steps[:-1]:
        prepared = after_step(prepared, step)
    return prepared, model.steps[-1][1]


def _refuse_other_classes(model: Any) -> None:
    if list(getattr(model, "classes_", [0, 1])) != [0, 1]:
        raise NotServable("it has other classes than 0 and 1")


def _refuse_preparation(prepared: Preparation, *, imputes: bool) -> None:
    if prepared.scales:
        raise NotServable("its trees follow a scaler, which changes nothing for them; leave it out")
    if not imputes and not np.isnan(prepared.fill).all():
        raise NotServable("it reads nulls itself; leave the imputer out")


def _with_nulls(trees: Sequence[Tree], prepared: Preparation) -> list[Tree]:
    """The trees, where an imputer fills the nulls: a null goes where its fill goes."""
    result = []
    for tree in trees:
        fill = np.where(tree.left == LEAF, np.nan, prepared.fill[tree.column])
        left = np.where(np.isnan(fill), tree.null_left, fill <= tree.threshold)
        result.append(replace(tree, null_left=left))
    return result


def _own_booster(model: Any, names: tuple[str, ...]) -> Boosted:
    booster = model.get_booster()
    if model.get_xgb_params().get("booster") not in (None, "gbtree"):
        raise NotServable("its booster is not gbtree")
    booster.feature_names = list(names)
    return Boosted(bytes(booster.save_raw("ubj")), names)
