"""What a score says, in sentences: the rule of a stage, evidence, reasons and warnings."""

from __future__ import annotations

import re
from collections.abc import Callable

from features.core.language import mark, number, say
from features.recipes.stages import Multiples
from serving.api.console.writing import write_word
from serving.scoring.reason_language import say_reason

_RULES = {
    "no_cover": mark("The paid cover has ended."),
    "no_activity": mark("There was no activity and no cover yet."),
    "cover_alone": mark("Covered, without any activity yet."),
    "one_activity": mark("There was exactly one activity so far."),
    "regular": mark(
        "Regular: four activities without a long gap between them, or four in all and active "
        "again since the last long gap."
    ),
    "otherwise": mark("Active more than once, and no other rule matches."),
}
# The rules that compare the silence with a multiple of the usual gap, by its place.
_OVERDUE = {"overdue_at_risk": 0, "overdue_dormant": 1, "overdue_churned": 2}
_EVIDENCE = {
    "none": mark("no rhythm of their own yet: the risk is the rate of similar customers"),
    "little": mark("one or two gaps between activities, or known for a short time"),
    "some": mark("three to seven gaps between activities, or known for some time"),
    "good": mark("eight gaps between activities or more"),
}


def rule_sentence(rule: str, stage: str, multiples: Multiples | None) -> str:
    """The rule that decided the stage; `multiples` of the usual gap where they are known."""
    if rule in _RULES:
        return say(_RULES[rule])
    if rule not in _OVERDUE:
        return rule
    if multiples is None:
        return say("The last activity is much longer ago than this customer's usual gap.")
    times = number(multiples[_OVERDUE[rule]], 1)
    if rule == "overdue_churned" and stage == "dormant":
        return say(
            "The last activity is at least {times} usual gaps ago, and the cover still runs.",
            times=times,
        )
    return say("The last activity is at least {times} usual gaps ago.", times=times)


def evidence_sentence(grade: str) -> str:
    """How much the score rests on."""
    text = say(_EVIDENCE[grade]) if grade in _EVIDENCE else ""
    return say("Evidence: {grade} ({text})", grade=write_word(grade), text=text)


def reason_sentence(reason: str) -> str:
    """A reason of the run in the current language."""
    text = say_reason(reason)
    return text[:1].upper() + text[1:]


_PLAIN = {
    "in_sample": mark("The model has learned what came after this day, so the score is no proof."),
    "no_skill": mark("No model with skill: the risk is the rate of similar customers."),
    "not_enough_data": mark("Too few data for a model: the risk is the rate of similar customers."),
    "cancelled": mark("This customer has cancelled: the cover ends."),
    "prospect:no_activity_yet": mark("No activity yet, so there is no score."),
    "ineligible:no_running_cover": mark(
        "No running cover, so this customer is not in the headline figures."
    ),
    "clv_not_known": mark("What this customer is worth is not known."),
    "clv_unseen_season": mark("The worth reaches into months that the history has never shown."),
    "decisions_not_readable": mark(
        "A campaign cannot be read, so what was decided is not known: see the log of the service."
    ),
    "scored_by_another_release": mark("Scored by another model than the one that is served now."),
}
_PATTERNS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (
        r"as_of_after_data_until:(\d+)d_at_most",
        lambda days: say(
            "The day of the score lies after the end of the data (at most {n} days).", n=days
        ),
    ),
    (
        r"without:(.+)",
        lambda table: say("Scored without the table {table}, which is silent.", table=table),
    ),
    (
        r"archetype_refused:(.+)",
        lambda _: say("Customers of this business buy once: retention has no meaning."),
    ),
    (
        r"rate_of:(.+)",
        lambda level: say(
            "The risk is a rate of similar customers, by {level}.", level=write_word(level)
        ),
    ),
    (
        r"ineligible:no_activity_in_(\d+)_days",
        lambda days: say(
            "No activity in {n} days, so this customer is not in the headline figures.",
            n=number(int(days)),
        ),
    ),
    (
        r"curve_ends_at:(\d+)d",
        lambda days: say(
            "The history is too short to say more than {n} days ahead.", n=number(int(days))
        ),
    ),
    (
        r"outside_training_range:(\d+)_columns",
        lambda columns: say(
            "{n} values of this customer lie beyond all that the model has learned from.",
            n=number(int(columns)),
        ),
    ),
    (
        r"imputed:(\d+)_columns",
        lambda columns: say(
            "{n} values that nearly every customer has are not known of this one.",
            n=number(int(columns)),
        ),
    ),
    (
        r"unseen_category:(.+)",
        lambda name: say("The model has not learned this customer's {attribute}.", attribute=name),
    ),
    (
        r"clv_extrapolated:(\d+)d",
        lambda days: say(
            "The worth reaches beyond the {n} days that the history has shown.",
            n=number(int(days)),
        ),
    ),
)


def warning_sentence(warning: str) -> str:
    """A warning of a score in words; one without words stays as it is."""
    if warning in _PLAIN:
        return say(_PLAIN[warning])
    for pattern, write in _PATTERNS:
        match = re.fullmatch(pattern, warning)
        if match is not None:
            return write(match[1])
    target, _, status = warning.partition(":")
    if status in ("no_skill", "not_enough_data", "leak_suspected"):
        return say("{column}: {status}", column=target, status=write_word(status))
    return warning
