"""What an action is expected to change for a customer: two lines over known inputs, as JSON.

Inputs: the log-odds of the risk, the value, the days since the last activity and the last
complaint, and the customer's categories. An action multiplies the hazard of leaving, as in a model
of proportional hazards. Learned by `training.effects.uplift` from a campaign whose arms were drawn,
and used by `lifecycle decide` instead of p · γ.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ReleaseRefused
from features.core.settings import home
from features.core.staged_files import staged_file
from serving.batch.writers import out_errors

CATEGORIES = ("stage", "segment", "channel")
MOST_LEVELS, LEAST_OF_LEVEL = 8, 50
COMPLAINT_DAYS = 30.0  # after so many days a complaint counts a third
LEAST_RISK = 0.003
HAZARDS = (-15.0, 3.0)  # bounds of log hazards: P(kept) from 2e-9 to 1 − 3e-7
LARGEST = 1e9  # no weight, mean or spread of ours is nearly as large
Array = np.ndarray


@dataclass(frozen=True)
class Inputs:
    """How rows of candidates become numbers: the levels of each category that have a column."""

    levels: Mapping[str, Sequence[str]]

    @property
    def names(self) -> tuple[str, ...]:
        plain = ["log value", "log days_since_activity", "complaint"]
        plain += [f"{name}={level}" for name, levels in self.levels.items() for level in levels]
        return ("odds", "odds²", "odds > -1", "odds > 1", *plain)

    def matrix(self, customers: pa.Table) -> Array:
        """(customers, names): every number is finite; what is not known is 0, as if it were not."""
        odds = -kept_odds(customers)
        days = _numbers(customers, "days_since_complaint", missing=math.inf)
        columns = [
            np.log1p(np.maximum(_numbers(customers, "value"), 0)),
            np.log1p(np.maximum(_numbers(customers, "days_since_activity"), 0)),
            np.exp(-days / COMPLAINT_DAYS),
        ]
        for name, levels in self.levels.items():
            texts = customers[name]
            columns += [
                pc.fill_null(pc.equal(texts, level), False).to_numpy().astype(float)
                for level in levels
            ]
        bends = [odds, odds**2, np.maximum(odds + 1, 0), np.maximum(odds - 1, 0)]
        return np.column_stack([*bends, *columns])


def kept_odds(customers: pa.Table) -> Array:
    """The log-odds of being kept, by the score; bounded, as the score is."""
    risk = np.clip(_numbers(customers, "risk"), LEAST_RISK, 1 - LEAST_RISK)
    return np.log(1 - risk) - np.log(risk)


def log_hazard(customers: pa.Table) -> Array:
    """The log of the hazard of leaving within the horizon, by the score: P(kept) = exp(−hazard)."""
    risk = np.clip(_numbers(customers, "risk"), LEAST_RISK, 1 - LEAST_RISK)
    return np.log(-np.log1p(-risk))


def kept_probability(hazard: Array) -> Array:
    """exp(−exp(x)) of log hazards x, which are bounded so that no probability is 0 or 1."""
    return np.exp(-np.exp(np.clip(hazard, *HAZARDS)))


def learn_inputs(customers: pa.Table) -> Inputs:
    """The levels that at least LEAST_OF_LEVEL customers have, the most frequent first."""
    levels = {}
    for name in CATEGORIES:
        counts = pc.value_counts(customers[name].combine_chunks()).to_pylist()
        often = [each for each in counts if each["values"] and each["counts"] >= LEAST_OF_LEVEL]
        often.sort(key=lambda each: (-each["counts"], each["values"]))
        # The most frequent level is what the others are compared with.
        levels[name] = tuple(each["values"] for each in often[1 : MOST_LEVELS + 1])
    return Inputs(levels)


def _numbers(customers: pa.Table, name: str, *, missing: float = 0.0) -> Array:
    values = customers[name].to_numpy(zero_copy_only=False).astype(float)
    return np.where(np.isnan(values), missing, values)


@dataclass(frozen=True)
class ActionEffect:
    """The lines of one action: log hazard of leaving = score's + correction + treated · change.

    correction, change (inputs + 1): their weights, the intercept first, of inputs less `centre` by
    `scale`. covariance (2 (inputs + 1), 2 (inputs + 1)): of all weights, those of correction first.
    """

    correction: Sequence[float]
    change: Sequence[float]
    centre: Sequence[float]
    scale: Sequence[float]
    covariance: Sequence[Sequence[float]]

    def probabilities(self, inputs: Array, hazard: Array) -> tuple[Array, Array]:
        """P(kept) without and with the action; hazard: the score's, as a log."""
        return self._lines(inputs, hazard)[:2]

    def effect(self, inputs: Array, hazard: Array) -> tuple[Array, Array]:
        """The difference in the probability of being kept, and its standard error."""
        plain, treated, turn = self._lines(inputs, hazard)
        spread = np.einsum("ij,ij->i", turn @ np.array(self.covariance), turn)
        return treated - plain, np.sqrt(np.maximum(spread, 0))

    def error_of_sum(self, inputs: Array, hazard: Array, weights: Array) -> float:
        """The standard error of Σ weight · effect: customers share the lines and their error."""
        turn = weights @ self._lines(inputs, hazard)[2]
        return float(np.sqrt(max(turn @ np.array(self.covariance) @ turn, 0)))

    def _lines(self, inputs: Array, hazard: Array) -> tuple[Array, Array, Array]:
        """P(kept) without and with the action, and how their difference turns with each weight."""
        scaled = (inputs - np.array(self.centre)) / np.array(self.scale)
        rows = np.column_stack([np.ones(len(scaled)), scaled])
        plain = hazard + rows @ np.array(self.correction)
        treated = plain + rows @ np.array(self.change)
        p, q = kept_probability(plain), kept_probability(treated)
        # d exp(−exp(x)) / dx = −exp(x) · exp(−exp(x)) = p · log p
        of_p, of_q = p * np.log(p), q * np.log(q)
        return p, q, np.hstack([rows * (of_q - of_p)[:, None], rows * of_q[:, None]])


@dataclass(frozen=True)
class EffectModel:
    """The effects of actions, learned from one campaign.

    known_from: the instant (µs UTC) at which its outcomes were complete; nobody knew them before.
    """

    campaign: str
    inputs: Inputs
    actions: Mapping[str, ActionEffect]
    known_from: int = 0

    def write(self, path: Path) -> None:
        """As JSON with its hash; StoreFailed where it cannot be written."""
        content = asdict(self)
        content = {**content, "sha256": _hash(content)}
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        with out_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            with staged_file(path) as staged:
                staged.write_text(text, encoding="utf-8")


def effects_path() -> Path:
    """Where the effects are that `lifecycle decide` uses."""
    return home() / "decisions" / "effects.json"


def effects_at(as_of: int) -> EffectModel | None:
    """The effects that were learned last, where they were known at `as_of` (µs UTC); else None."""
    model = read_effect_model(effects_path()) if effects_path().is_file() else None
    return model if model is not None and model.known_from <= as_of else None


def read_effect_model(path: Path) -> EffectModel:
    """The model of a file; ReleaseRefused where it is none, or not as it was written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        written = content.pop("sha256", None)
        if written != _hash(content):
            raise _refused(
                path, "effects without a hash" if written is None else "effects that were changed"
            )
        return _from_mapping(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(path, "no effects that `lifecycle uplift` wrote") from error


def _hash(content: Mapping[str, Any]) -> str:
    """SHA-256 over all keys but the hash itself; ValueError for numbers that JSON has not."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refused(path: Path, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=path.name,
        got=got,
        rule="Effects are read as they were written.",
        fix="Type lifecycle uplift --campaign NAME again, or remove the file.",
    )


def _from_mapping(read: Mapping[str, Any]) -> EffectModel:
    inputs = Inputs({name: tuple(levels) for name, levels in read["inputs"]["levels"].items()})
    size = len(inputs.names)
    actions = {name: ActionEffect(**each) for name, each in read["actions"].items()}
    for each in actions.values():
        shapes = {len(each.correction) - 1, len(each.change) - 1, len(each.centre), len(each.scale)}
        parts = (each.correction, each.change, each.centre, each.scale)
        flat = [*(np.asarray(part, dtype=float) for part in parts), np.ravel(each.covariance)]
        is_square = np.shape(each.covariance) == (2 * (size + 1), 2 * (size + 1))
        numbers = np.concatenate(flat)
        if shapes != {size} or not is_square or not (np.abs(numbers) < LARGEST).all():
            raise ValueError("an effect of another size, or with no number")
        if min(each.scale, default=1) <= 0:
            raise ValueError("a scale that divides by nothing")
    if type(read["known_from"]) is not int:
        raise ValueError("no instant")
    return EffectModel(str(read["campaign"]), inputs, actions, read["known_from"])
