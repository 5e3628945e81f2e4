"""`lifecycle uplift`: whom each action of a campaign moves, and whether to send by it.

the arms of a campaign ─► the candidates of its day ─► effects, cross-fitted ─► Qini, deciles
                                                                 └─► profit beside sending by risk
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.action_schema import Action
from features.core.errors import NotEnoughData
from features.core.settings import Settings
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import Z
from features.tables.history import History
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from serving.decisions.candidates import load_candidates
from serving.decisions.economics import expected_profit, profit_of_effect
from serving.decisions.effect_model import EffectModel, kept_odds, learn_inputs, log_hazard
from serving.decisions.hold_out import draw_number
from training.campaigns.balance import compare_arms
from training.campaigns.campaign_rows import campaign_rows, clear_decisions
from training.effects.arms import observe_kept
from training.effects.learn_effects import LearnedEffect, learn_effect
from training.effects.measure import refuse_chosen_arms
from training.effects.other_learners import other_effects
from training.effects.qini import Decile, Qini, effect_deciles, qini, qini_area

FOLDS, LEAST_OF_ARM = 5, 100
Array = np.ndarray


@dataclass(frozen=True)
class Uplift:
    """One action: how well customers are ordered by its effect, and what that is worth.

    gain: the profit a customer of sending by the effect, less that of sending by risk with the
    acceptance that the same campaign shows, with its 95 % interval; judged by customers whom the
    model has not seen. None without costs in [actions]. served: it is used by `decide`. others:
    the Qini areas of the usual learners.
    """

    action: str
    n_treated: int
    n_held_out: int
    mean: float
    mean_error: float
    mean_risk: float
    qini: Qini
    others: Mapping[str, float]
    deciles: list[Decile]
    gain: tuple[float, float, float] | None
    served: bool

    def report(self) -> dict[str, Any]:
        """For JSON."""
        gain = dict.fromkeys(("value", "low", "high"))
        if self.gain is not None:
            gain = dict(zip(gain, self.gain, strict=True))
        return {
            "treated": self.n_treated,
            "held_out": self.n_held_out,
            "effect": self.mean,
            "effect_low": self.mean - Z * self.mean_error,
            "effect_high": self.mean + Z * self.mean_error,
            "qini": self.qini.area,
            "qini_low": self.qini.low,
            "qini_high": self.qini.high,
            "qini_of_others": dict(self.others),
            "gain_over_risk": gain,
            "served": self.served,
            "deciles": [vars(each) for each in self.deciles],
        }


@dataclass(frozen=True)
class Learned:
    """What a campaign taught: each action, and the effects that are served.

    few: actions with too few customers of an arm, and how many both arms have.
    """

    campaign: str
    actions: Mapping[str, Uplift]
    model: EffectModel
    currency: str | None
    few: Mapping[str, int]

    def report(self) -> dict[str, Any]:
        """For JSON: counts, shares and money."""
        return {
            "campaign": self.campaign,
            "currency": self.currency,
            "served": sorted(self.model.actions),
            "too_few": dict(self.few),
            "actions": {name: each.report() for name, each in self.actions.items()},
        }


def learn_campaign(history: History, settings: Settings, campaign: str) -> Learned:
    """The effects of each action of a campaign, from the scores of the day it was decided by.

    NotEnoughData without such scores, without complete outcomes, and with arms under LEAST_OF_ARM;
    BadSetting for arms that were chosen.
    """
    rows, drawn = campaign_rows(history, campaign)
    rows, _ = clear_decisions(rows, settings)
    instants = pc.unique(rows["recorded_at"]).to_pylist()
    if len(instants) > 1:
        raise NotEnoughData(
            where=f"campaign {campaign}",
            got=f"decisions of {len(instants)} instants",
            rule="Effects are learned from a campaign that was decided at one instant.",
            fix="Take a campaign of `lifecycle decide`, or give each batch its own name.",
        )
    at = int(instants[0])
    kept = observe_kept(history, settings, at)
    customers = _candidates_at(history, settings, at)
    rows = rows.join(kept, "customer_id", join_type="inner")
    rows = customers.join(
        rows.select(["customer_id", "arm", "action", "kept"]), "customer_id", join_type="inner"
    ).sort_by("customer_id")
    is_treated = pc.not_equal(pc.fill_null(rows["arm"], "treated"), HELD_OUT).to_numpy()
    inputs = learn_inputs(rows)
    matrix = inputs.matrix(rows)
    if not drawn:
        refuse_chosen_arms(campaign, compare_arms(is_treated, matrix, inputs.names))
    learned, lines, few = {}, {}, {}
    actions = pc.fill_null(rows["action"], "").to_numpy(zero_copy_only=False)
    for name in sorted(set(actions[is_treated]) - {""}):
        inside = (actions == name) | ((actions == "") & ~is_treated)
        part = rows.filter(pa.array(inside))
        if min(is_treated[inside].sum(), (~is_treated[inside]).sum()) < LEAST_OF_ARM:
            few[name] = int(inside.sum())
            continue
        effect, others = _learn_action(campaign, name, part, is_treated[inside], matrix[inside])
        learned[name] = _judge(
            name, part, is_treated[inside], effect, others, settings.actions.get(name)
        )
        if learned[name].served:
            lines[name] = effect.line
    if not learned and few:
        raise NotEnoughData(
            where=f"campaign {campaign}",
            got=f"fewer than {LEAST_OF_ARM} of an arm for each action: {', '.join(few)}",
            rule=f"Effects on single customers take {LEAST_OF_ARM} of each arm or more.",
            fix="`lifecycle measure` says the effect on all of them together.",
        )
    if not learned:
        raise NotEnoughData(
            where=f"campaign {campaign}",
            got="no action by name",
            rule="Effects are learned for each action that the rows of a campaign name.",
            fix="Give the table treatments the column action.",
        )
    model = EffectModel(campaign, inputs, lines, at + settings.outcome_window_us)
    return Learned(campaign, learned, model, settings.business.currency, few)


def _candidates_at(history: History, settings: Settings, at: int) -> pa.Table:
    """The candidates by the scores of that instant, whoever may be listed."""
    everybody = settings.consent.model_copy(update={"list": False})
    data = IndicatorData(history, settings.model_copy(update={"consent": everybody}), at)
    try:
        return load_candidates(data, campaigns.SCHEMA.empty_table()).rows
    finally:
        data.close()


def _learn_action(
    campaign: str, name: str, rows: pa.Table, is_treated: Array, matrix: Array
) -> tuple[LearnedEffect, dict[str, float]]:
    """The effects of an action, and the Qini areas of the usual learners."""
    ids = rows["customer_id"].to_pylist()
    folds = np.array([draw_number(f"{campaign} {name}", each) % FOLDS for each in ids])
    kept = rows["kept"].to_numpy()
    learned = learn_effect(matrix, log_hazard(rows), is_treated, kept, folds)
    others = other_effects(matrix, kept_odds(rows), is_treated, kept, learned.guess, folds)
    return learned, {name: qini_area(each, is_treated, kept) for name, each in others.items()}


def _judge(
    name: str,
    rows: pa.Table,
    is_treated: Array,
    learned: LearnedEffect,
    others: Mapping[str, float],
    action: Action | None,
) -> Uplift:
    kept = rows["kept"].to_numpy()
    size = len(kept)
    gain = None if action is None else _gain_over_risk(rows, learned, action)
    order = qini(learned.effect, is_treated, kept)
    return Uplift(
        name,
        int(is_treated.sum()),
        int((~is_treated).sum()),
        float(learned.guess.mean()),
        float(learned.guess.std(ddof=1) / np.sqrt(size)),
        float(np.mean(rows["risk"].to_numpy(zero_copy_only=False))),
        order,
        others,
        effect_deciles(learned.effect, learned.guess),
        gain,
        served=gain is not None and is_as_good(gain),
    )


def is_as_good(gain: tuple[float, float, float]) -> bool:
    """Whether sending by risk is not better by more than the standard error of the comparison.

    The effects contain "everybody alike" as a special case, to which their penalty leads them where
    a campaign tells nothing more. What they replace is a share that is right for the mean of the
    campaign alone. Asking them to prove a gain first costs more than it saves, since one campaign
    rarely can (docs/decisions/041).
    """
    value, low, _ = gain
    return value > -(value - low) / Z


def _gain_over_risk(
    rows: pa.Table, learned: LearnedEffect, action: Action
) -> tuple[float, float, float]:
    """What sending by the effect brings a customer more than sending by risk, and its interval."""
    risk = rows["risk"].to_numpy(zero_copy_only=False)
    value = np.nan_to_num(rows["value"].to_numpy(zero_copy_only=False))
    money = {"incentive": action.incentive, "contact": action.contact_cost}
    acceptance = float(np.clip(learned.guess.mean() / risk.mean(), 0, 1))
    by_risk = expected_profit(risk, value, acceptance=acceptance, **money) > 0
    by_effect = profit_of_effect(learned.effect, risk, value, **money) > 0
    brought = profit_of_effect(learned.guess, risk, value, **money)
    more = brought * (by_effect.astype(float) - by_risk.astype(float))
    mean, error = float(more.mean()), float(more.std(ddof=1) / np.sqrt(len(more)))
    return mean, mean - Z * error, mean + Z * error
