"""From labelled rows to a scorer: both models, the calibration of p, reasons and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions
from serving.release.release import Release
from serving.scoring.parts import Blend
from serving.scoring.scorer import Calibration, Scorer
from training.examples import Examples
from training.models import blending, churn, fit_rates, next_stage
from training.models.blend_spec import BlendSpec, only_own
from training.models.estimators.estimators_file import read_estimators
from training.models.estimators.search_estimators import OwnPart
from training.models.fit_reasons import reason_reference
from training.parallel import run_in_parallel
from training.uncertainty.unseen_rows import UnseenPredictions, fit_uncertainty

# The share of the seconds of a search that the churn model gets.
CHURN_SHARE = 0.6
FREQUENCIES = "frequencies"
# What a search found for each model; None where q stays with frequencies.
Specs = dict[str, BlendSpec | None]


def search_models(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, only: str | None = None
) -> Specs:
    """Search the blends of both models side by side on labelled rows, or of `only` one."""
    seconds = settings.training.seconds

    def search_churn(share: float = 1.0) -> BlendSpec:
        return churn.search_churn_model(rows, columns, settings, seconds=seconds * share)

    def search_stages(share: float = 1.0) -> BlendSpec | None:
        if not next_stage.has_enough_stayers(rows):
            return None
        return next_stage.search_stage_model(rows, columns, settings, seconds=seconds * share)

    if only is not None:
        return {only: search_churn() if only == "churn" else search_stages()}
    churn_spec, stage_spec = run_in_parallel(
        lambda: search_churn(CHURN_SHARE), lambda: search_stages(1 - CHURN_SHARE)
    )
    return {"churn": churn_spec, "next-stage": stage_spec}


def specs_of(release: Release, settings: Settings) -> Specs:
    """What the search of a release found, as its evaluation holds it.

    Own estimators come from the file that the settings name.
    """
    estimators = read_estimators(settings)
    return {
        model: None if spec == FREQUENCIES else BlendSpec.from_summary(spec, estimators)
        for model, spec in release.evaluation["models"].items()
    }


@dataclass(frozen=True)
class Fitting:
    """Fits the models of `specs` on any labelled rows: the same columns and rules every time.

    `outcome_window_us`: horizon and label latency, in µs. `contractual`: cover can end.
    `max_dates`: at most so many dates are learned from. `feature_columns`: all, for the reasons.
    """

    specs: Specs
    columns: tuple[str, ...]
    definitions: Definitions
    outcome_window_us: int
    seed: int
    contractual: bool
    max_dates: int
    feature_columns: tuple[FeatureColumn, ...]

    def fit_scorer(self, rows: pa.Table) -> Scorer:
        """Both models, calibrated, with reasons and with the uncertainty of scores."""
        scorer, predicted = self._fit_with_unseen(rows, labelled=rows)
        return fit_uncertainty(scorer, rows, predicted, outcome_window_us=self.outcome_window_us)

    def fit_released_scorer(self, rows: pa.Table, *, labelled: pa.Table, status: str) -> Scorer:
        """As `fit_scorer`; with status no_skill p is a rate (`fit_rates.fit_base_rates`).

        `labelled`: all labelled rows, of `rows` and of older dates; some fits forward in time were
        done on them already.
        """
        scorer, predicted = self._fit_with_unseen(rows, labelled=labelled)
        scorer = with_status(status, scorer, rows)
        if status == "no_skill":
            predicted = predicted.with_rates(scorer.margin(rows))
        return fit_uncertainty(scorer, rows, predicted, outcome_window_us=self.outcome_window_us)

    def fit_models(self, rows: pa.Table, *, margin: np.ndarray | None = None) -> Scorer:
        """Both models and the calibration of p, without reasons and uncertainty.

        `margin`: out-of-fold log-odds of churn (rows,), where they are known already. q comes from
        frequencies where too few customers stayed.
        """
        (blend, calibration), (q, classes) = run_in_parallel(
            lambda: self.fit_churn(rows, margin=margin), lambda: self.fit_stages(rows)
        )
        stay_rows = next_stage.stayers(rows).num_rows
        return Scorer(
            self.definitions, self.columns, blend, calibration, q, classes, rows.num_rows, stay_rows
        )

    def with_only(self, part: OwnPart) -> Fitting:
        """The fitting whose churn model is this own estimator alone."""
        spec = self.specs["churn"]
        assert spec is not None
        alone = only_own(part, spec.estimators, spec.folds)
        return replace(self, specs={**self.specs, "churn": alone})

    def fit_churn(
        self, rows: pa.Table, *, margin: np.ndarray | None = None
    ) -> tuple[Blend, Calibration]:
        """The churn model of these specs on the rows, and its calibration (`fit_models`)."""
        spec = self.specs["churn"]
        assert spec is not None
        return churn.fit_churn_model(
            spec,
            rows,
            self.columns,
            outcome_window_us=self.outcome_window_us,
            seed=self.seed,
            contractual=self.contractual,
            margin=margin,
        )

    def out_of_fold_margins(self, rows: pa.Table) -> np.ndarray:
        """Log-odds of churn (rows,) from fits without the row's customer; NaN where none was."""
        spec = self.specs["churn"]
        assert spec is not None
        return churn.out_of_fold_margins(
            spec, rows, self.columns, seed=self.seed, contractual=self.contractual
        )

    def fit_stages(
        self, rows: pa.Table, *, seeds: int = blending.SEEDS
    ) -> tuple[Blend, tuple[str, ...]]:
        """(q, its classes) from the stayers of `rows`; frequencies where they are too few."""
        spec = self.specs["next-stage"]
        if spec is None or not next_stage.has_enough_stayers(rows):
            return next_stage.fit_frequencies(rows)
        return next_stage.fit_stage_model(spec, rows, self.columns, seed=self.seed, seeds=seeds)

    def _fit_with_unseen(
        self, rows: pa.Table, *, labelled: pa.Table
    ) -> tuple[Scorer, UnseenPredictions]:
        """The models with their reasons, and the predictions for each row without its customer."""
        predicted = UnseenPredictions.predict(
            self.specs["churn"],
            self.specs["next-stage"],
            rows,
            self.columns,
            labelled=labelled,
            max_dates=self.max_dates,
            outcome_window_us=self.outcome_window_us,
            seed=self.seed,
            contractual=self.contractual,
        )
        scorer = self.fit_models(rows, margin=predicted.margin)
        reference = reason_reference(scorer, rows, self.feature_columns)
        return replace(scorer, reason_reference=reference), predicted


def fitting_for(specs: Specs, examples: Examples, settings: Settings) -> Fitting:
    """The fitting of `specs` with the columns and definitions of these examples."""
    return Fitting(
        specs,
        examples.modelled,
        examples.definitions,
        settings.outcome_window_us,
        settings.training.seed,
        settings.contractual,
        settings.training.max_dates,
        examples.columns,
    )


def with_status(status: str, scorer: Scorer, rows: pa.Table) -> Scorer:
    """The scorer with that status: without skill, p is the rate of the eligible in `rows`.

    Those who are not eligible have the rate of their like.
    """
    if status != "no_skill":
        return replace(scorer, status=status)
    rates = fit_rates.fit_base_rates(rows, scorer.columns, scorer.definitions)
    return replace(scorer, status=status, churn=rates, calibration=Calibration())
