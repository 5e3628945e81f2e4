"""`lifecycle decide`: who gets which action, who is held out, who is let go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.errors import BadSetting, NotEnoughData
from features.core.forgotten import refuse_forgotten_since
from features.core.language import number, say
from features.core.progress import print_status
from features.core.settings import Settings
from features.indicators.indicator_data import IndicatorData
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History, newest_as_of, refuse_too_late
from lifecycle.commands.decision import Decision, campaign_rows, refuse_other_campaign
from serving.campaigns import store as campaigns
from serving.decisions.campaign_lock import lock_campaigns
from serving.decisions.candidates import Candidates, known_contacts, load_candidates
from serving.decisions.effect_model import effects_at
from serving.decisions.plan import Rules, make_plan, price_options
from serving.decisions.review import Finding, review_actions
from serving.value.scored_tables import run_of_day
from training.campaigns.campaign_rows import campaigns_of_table
from training.effects.harmful import harmful_actions

EXAMPLE = """\
[actions.call]
when = "stage in (at_risk, dormant) and risk >= 0.3"
channel = "phone"
contact_cost = 6.0
incentive = 0.0
acceptance = 0.15"""


def decide(history: History, settings: Settings, rules: Rules, as_of: int | None) -> Decision:
    """Decide a campaign by the scores of as_of (µs UTC; None: the midnight after the data).

    Nothing is written. NotEnoughData without scores of the day; BadSetting without actions;
    AsOfTooLate, SeveralCurrencies.
    """
    as_of, candidates, contacts = _read_day(history, settings, rules, as_of)
    rules = replace(rules, effects=effects_at(as_of))
    rules = _without_harm(history, settings, rules, as_of)
    print_status(say("choosing for {n} customers", n=number(candidates.rows.num_rows)))
    plan = make_plan(candidates.rows, contacts, rules, as_of)
    business = settings.business
    return Decision(
        rules,
        plan,
        candidates,
        as_of,
        settings.zone,
        business.currency,
        settings.minor_digits,
        _later_campaigns(as_of),
    )


def _later_campaigns(as_of: int) -> tuple[str, ...]:
    names = campaigns.list_campaigns()
    return tuple(name for name in names if campaigns.read_campaign(name).as_of > as_of)


def decide_campaign(
    history: History, settings: Settings, rules: Rules, as_of: int | None, out: Path
) -> Decision:
    """Decide a campaign, keep it, and write its lists; one campaign after the other.

    Errors as `decide` and `keep`; BadSetting for a folder that has the lists of another campaign.
    """
    refuse_other_campaign(out, rules.campaign)
    _refuse_name_of_table(history, rules.campaign)
    with lock_campaigns():
        refuse_forgotten_since(history.forgotten)
        decision = decide(history, settings, rules, as_of)
        scores = _scores_of_day(settings, decision.as_of)
        keep(decision, settings)
    decision.write(out, scores)
    return decision


def _refuse_name_of_table(history: History, campaign: str) -> None:
    """BadSetting where the table treatments has a campaign of this name that was not decided here.

    Two campaigns of one name would be measured, and learned from, as one.
    """
    decided_here = campaign in campaigns.list_campaigns()
    if not decided_here and campaign in campaigns_of_table(history):
        raise BadSetting(
            where="--campaign",
            got="a name that the table treatments has already",
            rule="Each campaign has its own name.",
            fix=f"Give another name, such as --campaign {campaign}-2.",
            values=[campaign],
        )


def _scores_of_day(settings: Settings, as_of: int) -> pa.Table:
    """The scores that the decision rests on, which `decide` has read as well."""
    run = run_of_day(settings, as_of)
    assert run is not None
    return pq.read_table(run / "scores.parquet")


def _without_harm(history: History, settings: Settings, rules: Rules, as_of: int) -> Rules:
    """The rules without actions that are guessed to keep customers, and were measured to lose them.

    Who writes a measured acceptance (`{ mean = …, n = … }`), or has effects of single customers,
    knows more than the mean.
    """
    learned = {} if rules.effects is None else rules.effects.actions
    guesses = {
        name
        for name, action in rules.actions.items()
        if action.acceptance.n is None and name not in learned
    }
    harmful = harmful_actions(history, settings, as_of) if guesses else {}
    return replace(rules, harmful={name: harmful[name] for name in guesses & set(harmful)})


def check_actions(
    history: History, settings: Settings, rules: Rules, as_of: int | None
) -> list[Finding]:
    """What is odd about the actions, for the customers of as_of; errors as `decide`.

    As if nobody had been contacted: who rests today is nothing odd.
    """
    as_of, candidates, contacts = _read_day(history, settings, rules, as_of)
    options = price_options(candidates.rows, contacts.slice(0, 0), rules, as_of)
    return review_actions(candidates.rows, rules.actions, options)


def _read_day(
    history: History, settings: Settings, rules: Rules, as_of: int | None
) -> tuple[int, Candidates, pa.Table]:
    """The instant, the candidates and the contacts before it."""
    if not rules.actions:
        raise BadSetting(
            where="[actions]",
            got="no action",
            rule="What may be done, and what it costs, is written in the configuration.",
            fix=f"Write, with your own costs:\n{EXAMPLE}",
        )
    refuse_several_currencies(history)
    if as_of is None:
        as_of = newest_as_of(history, settings, however_old=True)
    refuse_too_late(history, settings, as_of)
    print_status(say("reading the scores of the day"))
    data = IndicatorData(history, settings, as_of)
    try:
        contacts = known_contacts(history, as_of, _plans_before(rules.campaign))
        candidates = load_candidates(data, contacts)
    finally:
        data.close()
    return as_of, candidates, contacts


def _plans_before(campaign: str) -> pa.Table:
    """What other campaigns decided; to decide one again is to decide it the same way."""
    plans = campaigns.read_plans()
    return plans.filter(pc.not_equal(plans["campaign"], campaign))


def findings_text(findings: list[Finding]) -> str:
    """A line for each finding."""
    if not findings:
        return say("nothing is odd about the actions")
    return "\n".join(
        f"{each.action}: {each.sentence}" if each.action else each.sentence for each in findings
    )


def keep(decision: Decision, settings: Settings) -> bool:
    """Write the campaign into the home folder; False where the same one is there.

    NotEnoughData where nobody is chosen: the name stays free.
    """
    if not decision.plan.chosen.num_rows:
        counts = {**decision.candidates.counts, **decision.plan.counts}
        why = ", ".join(f"{reason}: {count:,}" for reason, count in counts.items() if count)
        raise NotEnoughData(
            where=f"campaign {decision.rules.campaign}",
            got=f"nobody to contact ({why})",
            rule="A campaign is kept where somebody is chosen for it.",
            fix="Type lifecycle decide --check: it says what is odd about the actions.",
        )
    about = {
        "as_of": decision.as_of,
        "horizon_days": settings.churn.horizon_days,
        "label_latency_days": settings.churn.label_latency_days,
        "zone": settings.zone,
        "currency": decision.currency,
        "counts": {**decision.candidates.counts, **decision.plan.counts},
        "hold_out_share": decision.plan.share_wanted,
        "actions": {name: each.model_dump() for name, each in decision.rules.actions.items()},
        "budget": decision.rules.budget,
        "capacity": dict(decision.rules.capacity),
    }
    return campaigns.write_campaign(decision.rules.campaign, campaign_rows(decision), about)
