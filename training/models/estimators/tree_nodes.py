"""Trees of any library as a booster of XGBoost: one reader, one file format, exact reasons.

Every library that grows trees asks the same question at a node: is the value at most a threshold?
Written as XGBoost's own model they are served by what serves our boosters: no pickle, the same
bits for one row as for many, and exact contributions for the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from serving.scoring.parts import Boosted

NO_PARENT = 2147483647  # XGBoost's mark of a root
LEAF = -1


@dataclass(frozen=True)
class Tree:
    """One tree, a value for each node (nodes,); node 0 is the root.

    `left`, `right`: the children, LEAF at a leaf. A row goes left where its value in `column` is at
    most `threshold`, and where it is null and `null_left`. `value`: what a leaf adds. `count`: the
    training rows of the node, which weigh the contributions.
    """

    left: np.ndarray
    right: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    null_left: np.ndarray
    value: np.ndarray
    count: np.ndarray


def to_booster(trees: Sequence[Tree], names: tuple[str, ...], *, start: float = 0.0) -> Boosted:
    """The booster whose margin is `start` and the sum of the trees' leaves.

    `names`: the columns of the matrix, in order. Its leaves are float32, so a sum of hundreds of
    trees differs from the library's in the sixth digit.
    """
    import xgboost

    model = _empty_model(names)
    inner = model["learner"]["gradient_booster"]["model"]
    template = inner["trees"][0]
    inner["trees"] = [
        template | _xgboost_tree(tree, at, start if at == 0 else 0.0, len(names))
        for at, tree in enumerate(trees)
    ]
    inner["tree_info"] = [0] * len(trees)
    inner["iteration_indptr"] = list(range(len(trees) + 1))
    inner["gbtree_model_param"]["num_trees"] = str(len(trees))
    booster = xgboost.Booster(params={"nthread": 1})
    booster.load_model(bytearray(json.dumps(model).encode()))
    return Boosted(bytes(booster.save_raw("ubj")), names)


def _empty_model(names: tuple[str, ...]) -> dict[str, Any]:
    """What XGBoost itself writes for a model of these columns with one tree and base margin 0."""
    import xgboost

    rows = xgboost.DMatrix(
        np.zeros((2, len(names)), np.float32), label=[0, 1], feature_names=list(names), nthread=1
    )
    params = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1, "verbosity": 0}
    written: dict[str, Any] = json.loads(xgboost.train(params, rows, 1).save_raw("json"))
    return written


def _level_by_level(tree: Tree) -> Tree:
    """The same tree with its nodes numbered level by level.

    XGBoost finds a right child beside its left one, whatever the file says.
    """
    order = [0]
    left, right = [], []
    for node in order:  # the list grows while it is read
        inner = tree.left[node] != LEAF
        left.append(len(order) if inner else LEAF)
        right.append(len(order) + 1 if inner else LEAF)
        order += [int(tree.left[node]), int(tree.right[node])] if inner else []
    numbered = {field.name: getattr(tree, field.name)[order] for field in fields(tree)}
    return Tree(**numbered | {"left": np.array(left), "right": np.array(right)})


def _xgboost_tree(tree: Tree, number: int, start: float, columns: int) -> dict[str, Any]:
    tree = _level_by_level(tree)
    leaf = tree.left == LEAF
    parents = np.full(len(leaf), NO_PARENT)
    for children in (tree.left, tree.right):
        parents[children[~leaf]] = np.flatnonzero(~leaf)
    value = (tree.value + start).astype(np.float32)
    conditions = np.where(leaf, value, next_float32_above(tree.threshold))
    zeros = np.zeros(len(leaf), dtype=int).tolist()
    return {
        "id": number,
        "left_children": tree.left.astype(int).tolist(),
        "right_children": tree.right.astype(int).tolist(),
        "parents": parents.tolist(),
        "split_indices": np.where(leaf, 0, tree.column).astype(int).tolist(),
        "split_conditions": conditions.astype(np.float64).tolist(),
        "split_type": zeros,
        "default_left": np.where(leaf, 0, tree.null_left).astype(int).tolist(),
        "base_weights": np.where(leaf, value, 0).astype(np.float64).tolist(),
        "loss_changes": [0.0] * len(leaf),
        "sum_hessian": np.maximum(tree.count, 1).astype(np.float64).tolist(),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(columns),
            "num_nodes": str(len(leaf)),
            "size_leaf_vector": "1",
        },
    }


def next_float32_above(threshold: np.ndarray) -> np.ndarray:
    """The float32 below which exactly those float32 values lie that are at most `threshold`.

    XGBoost asks x < t of float32, the others x <= t: the question of the next number is the same.

    >>> bool(np.float32(0.1) < next_float32_above(np.array([0.1]))[0])
    False
    >>> bool(np.float32(0.1) < next_float32_above(np.array([float(np.float32(0.1))]))[0])
    True
    """
    most = np.finfo(np.float32).max
    near = np.clip(threshold, -most, most).astype(np.float32)
    with np.errstate(over="ignore"):  # below the least number, which is no threshold
        lower = np.nextafter(near, np.float32(-np.inf))
    below = np.where(near > threshold, lower, near)
    return np.nextafter(np.minimum(below, np.nextafter(most, np.float32(0))), np.float32(np.inf))
