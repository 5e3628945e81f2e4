"""What a search found of a blend: all that a refit needs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from training.models import simpler_models
from training.models.estimators.estimators_file import NO_ESTIMATORS, OwnEstimators
from training.models.estimators.search_estimators import OwnPart


@dataclass(frozen=True)
class BlendSpec:
    """The ridge's strength, the boosters' settings and rounds, their weight, and the fold losses.

    `directions`: the columns that the boosters may follow in one direction only (1 up, −1 down);
    empty where that cost too much. `model`: the blend, or a simpler model that uses only
    `columns`. `trials_done` of `trials_wanted`: fewer where the time was up. `own`: a business's
    own estimators, whose weights come off those of ridge and boosters; `estimators` are what the
    file holds, of which no summary speaks.
    """

    strength: float
    settings: dict[str, Any]
    rounds: int
    weight: float
    losses: dict[str, float]
    folds: str
    trials: tuple[dict[str, Any], ...] = ()
    directions: dict[str, int] = field(default_factory=dict)
    model: str = simpler_models.BLEND
    columns: tuple[str, ...] = ()
    trials_done: int = 0
    trials_wanted: int = 0
    own: tuple[OwnPart, ...] = ()
    estimators: OwnEstimators = field(default=NO_ESTIMATORS)

    def summary(self) -> dict[str, Any]:
        """JSON-ready, without trials and estimators; `own` only where there are some."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        own = [{**vars(part), "trials": len(part.trials)} for part in kept.pop("own")]
        for name in ("trials", "estimators"):
            del kept[name]
        return kept | ({"own": own} if own else {})

    @classmethod
    def from_summary(cls, summary: dict[str, Any], estimators: OwnEstimators) -> BlendSpec:
        """The spec of a `summary`, as a release's evaluation holds it, without its trials."""
        own = tuple(OwnPart(**{**each, "trials": ()}) for each in summary.get("own", ()))
        return cls(**{**summary, "own": own, "estimators": estimators})

    @property
    def own_weight(self) -> float:
        return sum(part.weight for part in self.own)


def only_own(part: OwnPart, estimators: OwnEstimators, folds: str) -> BlendSpec:
    """The spec that fits this estimator and nothing else."""
    losses = {"blend": part.loss}
    return BlendSpec(
        1.0,
        {},
        0,
        0.0,
        losses,
        folds,
        model=part.name,
        own=(replace(part, weight=1.0),),
        estimators=estimators,
        trials_done=len(part.trials),
        trials_wanted=len(part.trials),
    )
