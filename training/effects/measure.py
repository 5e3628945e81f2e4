"""`lifecycle measure`: what a campaign changed, beside the customers who were held out of it.

    the plan, or the table treatments ─► outcomes of each arm ─► are the arms alike? ─► differences

Outcomes are those of the labels: kept is no churn within the horizon after the decision, money is
what came within it. Customers whose outcome window is not complete are counted and wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from features.core.errors import BadSetting, NotEnoughData
from features.core.instants import day_text
from features.core.settings import Settings
from features.indicators.intervals import difference_of_shares
from features.tables.history import History
from serving.campaigns import store as campaigns
from training.campaigns.balance import LEAST as LEAST_OF_ARM
from training.campaigns.balance import Balance, compare_arms
from training.campaigns.campaign_rows import campaign_rows
from training.effects.acceptance import Accepted, measured_acceptance
from training.effects.arms import Arms, observe_arms
from training.effects.difference import (
    Difference,
    Z,
    adjusted_difference,
    always_valid_interval,
    needed_more,
)

EFFECT, HARM, NONE, OPEN = "effect", "harm", "no effect", "not enough data"
MARGIN = 0.05
# Of an arm: below FEW its spread is hardly known, below LEAST no verdict is given.
FEW, LEAST = 30, 10


@dataclass(frozen=True)
class Measurement:
    """kept: the difference in the share kept, adjusted; raw: as counted, with Newcombe's interval.

    interval: that of `kept` which holds (always valid where somebody looked early). money: the
    difference in money a customer, None without money. actions: `kept` by action. acceptances: by
    action the share of those who would have left that was kept. accepted: that of all.
    """

    campaign: str
    verdict: str
    margin: float
    kept: Difference
    raw: tuple[float, float, float]
    interval: tuple[float, float]
    looked_early: bool
    money: Difference | None
    profit: tuple[float, float, float] | None
    actions: Mapping[str, Difference]
    acceptances: Mapping[str, Accepted | None]
    accepted: Accepted | None
    needed: int
    arms: Arms
    balance: Balance | None
    currency: str | None
    days: int
    decided: Sequence[str] = field(default=())

    def report(self) -> dict[str, Any]:
        """For JSON: counts, shares and money, and nothing of single customers."""
        return {
            "campaign": self.campaign,
            "verdict": self.verdict,
            "margin": self.margin,
            "horizon_days": self.days,
            "decided": list(self.decided),
            "treated": self.kept.n_treated,
            "held_out": self.kept.n_held_out,
            "left_out": dict(self.arms.left_out),
            "kept": _numbers(self.kept, self.interval),
            "kept_as_counted": dict(zip(("difference", "low", "high"), self.raw, strict=True)),
            "detectable": self.kept.detectable,
            "customers_needed_more": self.needed if self.verdict == OPEN else None,
            "looked_early": self.looked_early,
            "money_per_customer": None
            if self.money is None
            else _numbers(self.money, (self.money.low, self.money.high)),
            "profit": None
            if self.profit is None
            else dict(zip(("value", "low", "high"), self.profit, strict=True)),
            "cost": self.arms.cost,
            "return_on_cost": self._return_on_cost(),
            "currency": self.currency,
            "actions": {
                name: {
                    **_numbers(each, (each.low, each.high)),
                    "verdict": _verdict_of(each, (each.low, each.high), self.margin),
                    "accepted": _report_of(self.acceptances[name]),
                }
                for name, each in self.actions.items()
            },
            "accepted": _report_of(self.accepted),
            "arms_drawn_by_plan": self.arms.drawn,
            "hold_out_named": self.arms.named,
            "arms_told_apart": None if self.balance is None else self.balance.auroc,
        }

    def _return_on_cost(self) -> dict[str, float] | None:
        """Profit by cost, with the interval of the profit; None where nothing was paid."""
        if self.profit is None or not self.arms.cost:
            return None
        shares = (each / self.arms.cost for each in self.profit)
        return dict(zip(("value", "low", "high"), shares, strict=True))


def measure(
    history: History, settings: Settings, campaign: str, *, margin: float | None = None
) -> Measurement:
    """What the campaign changed. margin: a difference in the share kept that would not matter.

    NotEnoughData without both arms or without complete outcomes; BadSetting for arms that were not
    drawn: who was treated was chosen, so a difference is that of the choice.
    """
    margin = check_margin(settings, margin)
    rows, drawn = campaign_rows(history, campaign)
    arms = observe_arms(history, settings, rows, drawn=drawn)
    balance = None
    if not drawn:
        balance = compare_arms(arms.is_treated, arms.before, arms.names)
        refuse_chosen_arms(campaign, balance)
    kept = adjusted_difference(arms.kept, arms.is_treated, arms.strata, arms.before)
    kept = None if kept is None else safe_difference(kept, arms.kept, arms.is_treated)
    if kept is None:
        raise NotEnoughData(
            where=f"campaign {campaign}",
            got=f"{int(arms.is_treated.sum())} treated and {int((~arms.is_treated).sum())} held "
            f"out with complete outcomes{_left_out_text(arms)}",
            rule="An effect is the difference of two arms, with at least two customers in each.",
            fix="Hold customers out: [decisions] hold_out = 0.1, before the campaign begins. If "
            "many are not known at the decision, compare the ids: spreadsheets drop leading zeros.",
        )
    if balance is None and not (drawn or arms.named):
        raise _unknown_draw(campaign, arms)
    early = bool(arms.left_out.get("outcome not complete")) or campaigns.was_looked_at(campaign)
    interval = (kept.low, kept.high)
    if early:
        interval = always_valid_interval(kept, spread=margin)
    ours = arms.is_treated
    counts = (arms.kept[ours].sum(), ours.sum(), arms.kept[~ours].sum(), (~ours).sum())
    money = _money_difference(arms)
    actions, acceptances = _by_action(arms)
    return Measurement(
        campaign,
        _verdict_of(kept, interval, margin),
        margin,
        kept,
        difference_of_shares(*(int(each) for each in counts)),
        interval,
        early,
        money,
        None if money is None or arms.cost is None else _profit(money, arms.cost),
        actions,
        acceptances,
        _accepted(arms, kept),
        needed_more(kept.error, len(ours), difference=margin),
        arms,
        balance,
        settings.business.currency,
        settings.churn.horizon_days,
        sorted({day_text(at, zone=settings.zone) for at in rows["recorded_at"].to_pylist()}),
    )


def _left_out_text(arms: Arms) -> str:
    """Why customers are left out, with their numbers; '' where nobody is."""
    parts = [f"{count:,}: {reason}" for reason, count in arms.left_out.items() if count]
    return f" ({'; '.join(parts)})" if parts else ""


def check_margin(settings: Settings, margin: float | None) -> float:
    """The difference that would not matter: as typed, else that of [decisions], else MARGIN."""
    if margin is None:
        return settings.decisions.detectable_effect or MARGIN
    if not 0 < margin < 1:
        raise BadSetting(
            where="--margin",
            got="no share between 0 and 1",
            rule="A margin is a difference in the share kept that would not matter.",
            fix="For example: --margin 0.02, two customers in a hundred.",
            values=[str(margin)],
        )
    return margin


def _verdict_of(each: Difference, interval: tuple[float, float], margin: float) -> str:
    """The verdict of the interval; OPEN where an arm has fewer than LEAST customers."""
    few = min(each.n_treated, each.n_held_out) < LEAST
    return OPEN if few else verdict(interval, margin)


def verdict(interval: tuple[float, float], margin: float) -> str:
    """EFFECT or HARM where 0 is outside, NONE where all of it is within the margin, else OPEN."""
    low, high = interval
    if low > 0:
        return EFFECT
    if high < 0:
        return HARM
    return NONE if -margin < low and high < margin else OPEN


def _money_difference(arms: Arms) -> Difference | None:
    if not np.isfinite(arms.money).all() or not arms.money.any():
        return None
    return adjusted_difference(arms.money, arms.is_treated, arms.strata, arms.before)


def _profit(money: Difference, cost: float) -> tuple[float, float, float]:
    """What the campaign brought within the horizon: money of the treated, less what it cost."""
    count = money.n_treated
    value, low, high = (count * each - cost for each in (money.value, money.low, money.high))
    return value, low, high


def _by_action(arms: Arms) -> tuple[dict[str, Difference], dict[str, Accepted | None]]:
    """The difference in the share kept, and γ, of each action beside those held out of it.

    Who was held out of no action in particular stands beside each of them.
    """
    differences: dict[str, Difference] = {}
    acceptances: dict[str, Accepted | None] = {}
    actions = np.array(arms.action, dtype=object)
    for name in sorted(set(arms.action) - {""}):
        inside = (actions == name) | ((actions == "") & ~arms.is_treated)
        strata = [each for each, chosen in zip(arms.strata, inside, strict=True) if chosen]
        part = adjusted_difference(
            arms.kept[inside], arms.is_treated[inside], strata, arms.before[inside]
        )
        if part is not None:
            part = safe_difference(part, arms.kept[inside], arms.is_treated[inside])
            differences[name], acceptances[name] = part, _accepted(arms, part, inside)
    return differences, acceptances


def safe_difference(adjusted: Difference, kept: np.ndarray, is_treated: np.ndarray) -> Difference:
    """The difference as counted, with Newcombe's interval, where an arm has fewer than FEW.

    The spread of a few customers is hardly known, and the adjusted interval is too narrow.
    """
    ours, theirs = kept[is_treated], kept[~is_treated]
    if min(len(ours), len(theirs)) >= FEW:
        return adjusted
    counts = (ours.sum(), len(ours), theirs.sum(), len(theirs))
    value, low, high = difference_of_shares(*(int(each) for each in counts))
    error = max(value - low, high - value) / Z
    return replace(adjusted, value=value, error=error)


def _accepted(arms: Arms, kept: Difference, inside: np.ndarray | None = None) -> Accepted | None:
    """γ as it was, of everybody or of those `inside` (n,); None where nobody would have left."""
    risk = arms.before[:, arms.names.index("risk")] if "risk" in arms.names else None
    return measured_acceptance(kept, risk if risk is None or inside is None else risk[inside])


def _report_of(each: Accepted | None) -> dict[str, float | int | None] | None:
    return None if each is None else each.report()


def _numbers(each: Difference, interval: tuple[float, float]) -> dict[str, float]:
    return {
        "difference": each.value,
        "low": interval[0],
        "high": interval[1],
        "treated": each.treated,
        "held_out": each.held_out,
        "n_treated": each.n_treated,
        "n_held_out": each.n_held_out,
    }


def _unknown_draw(campaign: str, arms: Arms) -> NotEnoughData:
    """Nobody is named as held out, and the arms are too small to tell whether they were drawn."""
    return NotEnoughData(
        where=f"campaign {campaign}",
        got=f"{int(arms.is_treated.sum())} treated, nobody who is named as held out, and "
        f"{int((~arms.is_treated).sum())} others",
        rule=f"Whether customers were drawn shows in at least {LEAST_OF_ARM} of each arm. Where "
        "they were chosen, a difference is that of the choice.",
        fix="Name who was held out: a row of treatments with arm = held_out. Or draw a hold-out "
        "before the next campaign: lifecycle decide --campaign NAME.",
    )


def refuse_chosen_arms(campaign: str, balance: Balance | None) -> None:
    """BadSetting where what was before tells the arms apart: they were not drawn."""
    if balance is None or balance.is_random:
        return
    raise BadSetting(
        where=f"campaign {campaign}",
        got=f"arms that what was before tells apart: AUROC {balance.auroc:.3f}, of drawn arms at "
        f"most {balance.limit:.3f}; {balance.largest_of} differs by {balance.largest:.2f} standard "
        f"deviations; {balance.without_overlap:.0%} of the treated have nobody like them beside",
        rule="An effect is measured between arms that were drawn. Here who was treated was chosen, "
        "so a difference would be that of the choice.",
        fix="Draw a hold-out before the next campaign: lifecycle decide --campaign NAME.",
    )
