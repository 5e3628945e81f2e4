"""Terms: what a row of `contracts` says about cover, from what was known before an instant.

- An end that is blank, or in 2099 or later, is no end: the term is open-ended.
- A trial is no term, unless the settings say so (`[contract] trial_plans`).
- A cancellation is a withdrawal. An open-ended term ends with it. Of another term stays what was
  paid for: it runs to its end and does not renew (`[contract] cancelled_terms = "end"`: it ends).
  A term that is cancelled before it begins never was cover.
- A term renews that has auto_renew, or that began within grace of the end of the customer's terms
  before it, unless it is cancelled. It runs on through its end plus one local day or grace,
  whichever is longer: on the night of renewal nobody has left.
- Terms follow each other without a break where the next begins within grace of the end of those
  before it, or while one of them runs on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import narwhals as nw

from features.core.contract import OPEN_END_US
from features.core.instants import DAY_US
from features.core.settings import Settings

_TRIAL = r"(^|[^a-z])trial([^a-z]|$)"


@dataclass(frozen=True)
class TermRules:
    """What the settings say about terms.

    grace_us: a term that begins so much later still continues the one before. zone: of the local
    day by which a renewing term runs on. trial_plans: plans that are trials; None: those with the
    word "trial" in their name. cancelled_end: a cancelled term ends at its cancellation.
    """

    grace_us: int = 0
    zone: str = "UTC"
    trial_plans: tuple[str, ...] | None = None
    cancelled_end: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> TermRules:
        trials = settings.contract.trial_plans
        return cls(
            settings.churn.grace_days * DAY_US,
            settings.zone,
            None if trials is None else tuple(trials),
            settings.contract.cancelled_terms == "end",
        )

    def is_trial(self, plan: str | None) -> bool:
        """Whether a term of this plan is a trial, and so no term."""
        if plan is None:
            return False
        if self.trial_plans is None:
            return re.search(_TRIAL, plan.lower()) is not None
        return plan in self.trial_plans


def trial_sql(rules: TermRules) -> str:
    """SQL that is true for a row of `contracts` that is a trial."""
    if rules.trial_plans is None:
        return f"regexp_matches(lower(coalesce(plan, '')), '{_TRIAL}')"
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in rules.trial_plans)
    return f"coalesce(plan, '') IN ({names})" if names else "false"


def with_cover(rows: nw.LazyFrame, rules: TermRules) -> nw.LazyFrame:
    """The terms among known rows of `contracts`, with what they say about cover.

    rows: the latest known version of each, `cancelled_at` empty where it was not known yet. The
    terms keep their columns, trials are left out, and `ends_at` (µs) is the end as known then,
    OPEN_END_US for none. New columns: renews; runs_until (µs), the end by the rule of
    continuation; renew_by (µs), until when the next term may begin without a break; begins_cover,
    whether there is a break before the term.
    """
    # Of a term that was withdrawn before it began, nothing was paid for.
    cut_short = f"ends_at >= {OPEN_END_US} OR cancelled_at < starts_at"
    if rules.cancelled_end:
        cut_short = "true"
    end = (
        f"CASE WHEN cancelled_at IS NOT NULL AND ({cut_short}) "
        "THEN greatest(starts_at, least(ends_at, cancelled_at)) ELSE ends_at END"
    )
    next_day = (
        f"epoch_us(timezone('{rules.zone}', timezone('{rules.zone}', make_timestamptz(ends_at)) "
        "+ INTERVAL 1 DAY))"
    )
    grace_end = f"ends_at + {rules.grace_us}"
    before = (
        # A plan breaks ties, so that the order of rows decides nothing.
        "OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at, plan "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    terms = rows.to_native().filter(f"NOT {trial_sql(rules)}")
    # What was withdrawn before it began, or a payment taken back, never was cover.
    terms = terms.project(f"* REPLACE ({end} AS ends_at)").filter("ends_at > starts_at")
    terms = terms.project(f"*, max(ends_at) {before} AS ended_before")
    terms = terms.project(
        "* EXCLUDE (ended_before), "
        f"cancelled_at IS NULL AND ends_at < {OPEN_END_US} AND (coalesce(auto_renew, false) "
        f"OR coalesce(starts_at <= ended_before + {rules.grace_us}, false)) AS renews"
    )
    terms = terms.project(
        f"*, CASE WHEN renews THEN greatest({grace_end}, {next_day}) ELSE {grace_end} END "
        "AS renew_by"
    )
    terms = terms.project(
        "*, CASE WHEN renews THEN renew_by ELSE ends_at END AS runs_until, "
        f"coalesce(starts_at > max(renew_by) {before}, true) AS begins_cover"
    )
    return nw.from_native(terms)
