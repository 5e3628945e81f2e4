"""The columns of a release as a registered model: what it reads and what it answers."""

from __future__ import annotations

from collections.abc import Sequence

from features.recipes.stages import STAGES

_INSTANTS = ("as_of", "first_at", "last_at")


def input_columns(
    columns: Sequence[str], answers: str, *, contractual: bool
) -> list[tuple[str, str]]:
    """(column, MLflow type) of the input of the model `answers`; `columns` are the scorer's.

    Instants are of type any: MLflow's datetime refuses the time zone that run folders write.
    """
    state = [("stage", "string"), ("stage_if_inactive", "string")]
    if answers == "next_stage":
        state += [("stage_idle", "string")] if contractual else []
        state += [("n", "long"), *((name, "any") for name in _INSTANTS)]
    return state + [(name, "double") for name in columns]


def output_columns(answers: str) -> list[tuple[str, str]]:
    names = ["p_churn"] if answers == "churn" else [f"p_next_{stage}" for stage in STAGES]
    return [(name, "double") for name in names]
