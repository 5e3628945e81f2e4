"""The trees of scikit-learn's estimators, and those of its histogram boosting."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.models.estimators.not_servable import NotServable
from training.models.estimators.tree_nodes import LEAF, Tree


def grown_tree(tree: Any, value: np.ndarray) -> Tree:
    """A `tree_` of scikit-learn with these values of its nodes (nodes,)."""
    leaf = tree.children_left == LEAF
    return Tree(
        tree.children_left,
        tree.children_right,
        tree.feature,
        np.where(leaf, 0.0, tree.threshold),
        np.asarray(tree.missing_go_to_left, dtype=bool),
        value,
        tree.weighted_n_node_samples,
    )


def probability_tree(tree: Any, positive: int) -> Tree:
    """A tree of a classifier: its leaves are the share of the class at place `positive`."""
    counts = tree.value[:, 0, :]
    return grown_tree(tree, counts[:, positive] / counts.sum(axis=1))


def gradient_boosting(model: Any) -> tuple[list[Tree], float]:
    """(the trees of a GradientBoostingClassifier of two classes, the margin it starts from)."""
    if type(model.init_).__name__ != "DummyClassifier" and model.init != "zero":
        raise NotServable("it starts from another estimator (init)")
    start = float(model._raw_predict_init(np.zeros((1, model.n_features_in_)))[0, 0])
    trees = [each[0].tree_ for each in model.estimators_]
    return [grown_tree(tree, model.learning_rate * tree.value[:, 0, 0]) for tree in trees], start


def histogram_boosting(model: Any) -> tuple[list[Tree], float]:
    """(the trees of a HistGradientBoostingClassifier of two classes, its first margin)."""
    trees = []
    for predictors in model._predictors:
        nodes = predictors[0].nodes
        if nodes["is_categorical"].any():
            raise NotServable("it splits on categories (categorical_features)")
        leaf = nodes["is_leaf"].astype(bool)

        def children(side: str, leaf: np.ndarray = leaf, nodes: np.ndarray = nodes) -> np.ndarray:
            return np.where(leaf, LEAF, nodes[side].astype(int))

        trees.append(
            Tree(
                children("left"),
                children("right"),
                nodes["feature_idx"].astype(int),
                np.where(leaf, 0.0, nodes["num_threshold"]),
                nodes["missing_go_to_left"].astype(bool),
                nodes["value"],
                nodes["count"],
            )
        )
    return trees, float(np.ravel(model._baseline_prediction)[0])
