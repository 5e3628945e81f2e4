"""The trees of LightGBM, from the text that it writes of a model itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.models.estimators.not_servable import NotServable
from training.models.estimators.tree_nodes import LEAF, Tree


def lightgbm_trees(model: Any) -> list[Tree]:
    """The trees of an LGBMClassifier of two classes; the first margin is in the first tree."""
    written = model.booster_.dump_model()
    if written.get("objective", "").split() != ["binary", "sigmoid:1"]:
        raise NotServable("its objective is not binary with sigmoid 1")
    if written.get("average_output"):
        raise NotServable("it averages its trees (boosting_type rf)")
    return [_tree(each["tree_structure"]) for each in written["tree_info"]]


def _tree(root: dict[str, Any]) -> Tree:
    nodes, pairs = [root], []
    for node in nodes:  # the list grows while it is read
        inner = "split_index" in node
        pairs.append((len(nodes), len(nodes) + 1) if inner else (LEAF, LEAF))
        nodes += [node["left_child"], node["right_child"]] if inner else []
    left, right = np.array(pairs).T
    return Tree(
        left,
        right,
        np.array([node.get("split_feature", 0) for node in nodes]),
        np.array([_threshold(node) for node in nodes]),
        np.array([_null_goes_left(node) for node in nodes]),
        np.array([node.get("leaf_value", 0.0) for node in nodes]),
        np.array([node.get("leaf_count", node.get("internal_count", 1)) for node in nodes]),
    )


def _threshold(node: dict[str, Any]) -> float:
    if "leaf_coeff" in node:
        raise NotServable("its leaves are linear (linear_tree)")
    if node.get("decision_type", "<=") != "<=":
        raise NotServable("it splits on categories (categorical_feature)")
    return float(node.get("threshold", 0.0))


def _null_goes_left(node: dict[str, Any]) -> bool:
    """Where a split saw no null in training, LightGBM reads a null as 0."""
    kind = node.get("missing_type", "None")
    if kind == "Zero":
        raise NotServable("it reads 0 as missing (zero_as_missing)")
    return bool(node.get("default_left")) if kind == "NaN" else _threshold(node) >= 0
