"""The trees of CatBoost, from the JSON that it writes of a model itself.

A symmetric tree asks one question at each level, so that its leaf is a number of as many bits; the
other policies write nested nodes. Both ask whether a value is above a border.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.models.estimators.not_servable import NotServable
from training.models.estimators.tree_nodes import LEAF, Tree

Columns = Mapping[int, tuple[int, bool]]


def catboost_trees(model: Any) -> tuple[list[Tree], float]:
    """(the trees of a CatBoostClassifier of two classes, the margin it starts from)."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-catboost-") as place:
        file = Path(place) / "model.json"
        model.save_model(str(file), format="json")
        written = json.loads(file.read_text(encoding="utf-8"))
    if set(written["features_info"]) - {"float_features"}:
        raise NotServable("it has columns of categories, texts or embeddings")
    scale, biases = written["scale_and_bias"]
    if len(biases) != 1:
        raise NotServable("it has more margins than one")
    columns = {
        each["feature_index"]: (
            each["flat_feature_index"],
            # Where training saw no null, a null is above no border.
            each.get("nan_value_treatment", "AsIs") != "AsTrue",
        )
        for each in written["features_info"]["float_features"]
    }
    if "oblivious_trees" in written:
        trees = [_symmetric_tree(each, columns, scale) for each in written["oblivious_trees"]]
    else:
        trees = [_nested_tree(each, columns, scale) for each in written["trees"]]
    return trees, float(biases[0])


def _symmetric_tree(written: Mapping[str, Any], columns: Columns, scale: float) -> Tree:
    """A complete tree, level by level: at level k every node asks the question of split k.

    The answers of a path are the bits of its leaf's number, the first is the lowest.
    """
    questions = [_question(split, columns) for split in written["splits"] or []]
    depth = len(questions)
    inner, leaves = 2**depth - 1, 2**depth
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    path = np.arange(leaves)
    # Read from the root on, the first answer is the highest bit of a leaf's place.
    number = sum((path >> (depth - 1 - bit) & 1) << bit for bit in range(depth)) + 0 * path
    nodes = np.arange(inner + leaves)
    weights = np.zeros(inner + leaves)
    weights[inner:] = np.asarray(written["leaf_weights"], dtype=float)[number]
    for node in range(inner - 1, -1, -1):
        weights[node] = weights[2 * node + 1] + weights[2 * node + 2]
    column_of_level, borders, null_left = (
        np.array([question[at] for question in questions]) for at in range(3)
    )
    values = np.zeros(inner + leaves)
    values[inner:] = scale * np.asarray(written["leaf_values"], dtype=float)[number]

    def of_nodes(of_levels: np.ndarray) -> np.ndarray:
        return np.concatenate([of_levels[level], np.zeros(leaves)]) if depth else np.zeros(leaves)

    return Tree(
        np.where(nodes < inner, 2 * nodes + 1, LEAF),
        np.where(nodes < inner, 2 * nodes + 2, LEAF),
        of_nodes(column_of_level).astype(int),
        of_nodes(borders),
        of_nodes(null_left).astype(bool),
        values,
        weights,
    )


def _nested_tree(root: dict[str, Any], columns: Columns, scale: float) -> Tree:
    nodes, pairs = [root], []
    for node in nodes:  # the list grows while it is read
        inner = "split" in node
        pairs.append((len(nodes), len(nodes) + 1) if inner else (LEAF, LEAF))
        nodes += [node["left"], node["right"]] if inner else []
    left, right = np.array(pairs).T
    questions = [
        _question(node["split"], columns) if "split" in node else (0, 0.0, False) for node in nodes
    ]
    column, border, null_left = (np.array(each) for each in zip(*questions, strict=True))
    counts = np.array([float(node.get("weight", 0.0)) for node in nodes])
    for at in np.flatnonzero(left != LEAF)[::-1]:
        counts[at] = counts[left[at]] + counts[right[at]]
    values = np.array([scale * node.get("value", 0.0) for node in nodes])
    return Tree(left, right, column, border, null_left, values, counts)


def _question(split: Mapping[str, Any], columns: Columns) -> tuple[int, float, bool]:
    """(column, border, whether a null is not above it)."""
    if split["split_type"] != "FloatFeature":
        raise NotServable("it splits on categories (cat_features)")
    column, null_left = columns[split["float_feature_index"]]
    return column, float(split["border"]), null_left
