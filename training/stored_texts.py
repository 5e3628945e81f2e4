"""English sentences that an evaluation stores, in the language of the reader.

What is stored does not depend on the language. A sentence is read back by the template it was
written from, and said with its translation. What no template gives (words of an older release, of
a business's own estimator) stays as it is.
"""

from __future__ import annotations

import functools
import re

from features.core.language import ENGLISH, current_language, mark, say, term

# A narrower template stands before a wider one that fits the same sentence. A place that a person
# names or that holds a sentence is read back itself.
_TEMPLATES = (
    # metrics.verdict
    mark("better than {name} by {gain} ({low} … {high})"),
    mark("worse than {name} by {loss} ({low} … {high})"),
    mark("no better than {name}: {difference} ({low} … {high})"),
    # baseline_comparison
    mark("{customers} customers are too few to tell our model from {best}: {chosen} is enough"),
    mark("our model has no skill: the interval of its AUROC contains ½; {best} is best"),
    mark("our model is {verdict}, and {best} no better than {chosen}, which is simpler"),
    mark("our model is {verdict}"),
    mark("this model is {verdict}"),
    # gate, gate_comparison and plausibility
    mark("nothing is served yet"),
    mark("not comparable: {why}"),
    mark("too few customers"),
    mark("log loss worse by {interval} for {who}"),
    mark("log loss of the next stage worse by {interval}"),
    mark("log loss of {segment} worse by {interval}"),
    mark("calibration error {ours}, champion {theirs}; chance alone makes up to {chance}"),
    mark("only {share} of eligible customers keep their strongest reason"),
    mark(
        "calibration error {ece} for {who}, at least {low} (95 % CI); more than {most} is not "
        "served: on the evaluation dates other shares left than the model predicted"
    ),
    mark(
        "No skill: the churn model is not better than chance. Scores are the rates of eligible and "
        "of other customers, marked no_skill."
    ),
    mark(
        "Nearly no skill: the log loss of {who} is {loss}, only {gain} below that of the base rate "
        "(under {least}). The scores hardly tell customers apart."
    ),
    mark(
        "Without {families} the log loss is lower (95 % CI): the family's reasons come last. "
        "[features] off leaves it out."
    ),
    # leading_columns
    mark(
        "The interval of the AUROC reaches 1 ({auroc} for {who}). The leak check ran on the "
        "{columns} leading columns: {result}"
    ),
    mark(
        "{columns} reveal the outcome, and their tables have a clock. Check that it is right: "
        "lifecycle audit."
    ),
    mark(
        "none reveals the outcome alone (highest: {column}, {auroc}). With few customers this is "
        "chance."
    ),
    mark("none reveals the outcome alone. With few customers this is chance."),
    # fit_calibration
    mark("none: no customer could be left out"),
    mark("platt: no two earlier dates lie a window apart, so the kinds could not be compared"),
    mark("{kind}: too few rows or one outcome at the newest date for {best} ({why})"),
    mark("{kind}: the least by log loss at {dates} when fitted before ({losses})"),
    mark(
        "{kind}: the simplest within a standard error of {best} by log loss at {dates} when fitted "
        "before ({losses})"
    ),
    mark("1 later date"),
    mark("{dates} later dates"),
    # slices: what bounds a third
    mark("up to {edge} days"),
    mark("{low} to {high} days"),
    mark("over {edge} days"),
    mark("up to {edge} spent"),
    mark("{low} to {high} spent"),
    mark("over {edge} spent"),
    # the advice of `lifecycle check`
    mark(
        "{gaps} completed gaps are under {least}, so the stage multiples are the defaults 2, 4, 8 "
        "and not learned."
    ),
    mark(
        'Hardly any customer comes back: set archetype = "one-off" or "low-frequency" under '
        "[business] if that is right."
    ),
    mark(
        "{share} of those called churned came back: a longer history would give wider stage "
        "multiples."
    ),
    mark(
        "{share} of those not renewed after grace_days = {grace} renewed later and count as churn. "
        "Set [churn] grace_days = {days} to include most of them (and label_latency_days to more "
        "than that, so that the last day of it is seen)."
    ),
    # the warnings of `lifecycle run`, `train` and `score`
    mark("not enough data to train, so scores are rates: {why}"),
    mark(
        "no skill: the churn model is not better than chance. Its p_churn is the rate of eligible "
        "customers, and for others that of the others, marked no_skill"
    ),
    mark(
        "release {release} is not served: {why}. Scores are of release {served}. To serve the new "
        "one all the same: {command}"
    ),
    mark(
        "the search for {job} ended after {trials} of {wanted} trials, because [training] seconds "
        "was up: another run may find another model. Set a larger seconds or fewer trials"
    ),
    mark(
        "not recorded in MLflow yet: {jobs}. The records are under mlruns/pending; `lifecycle "
        "runs` writes them once the store answers"
    ),
    mark("the data end at {end}, before as_of {as_of}: later activity is not known"),
    mark("the data end at {end}, {days} days ago: scores are as of {as_of}, not of today"),
)
_PLACE = re.compile(r"\{(\w+)\}")


def say_stored(text: str) -> str:
    """A stored sentence in the current language; a text that is none as it is."""
    if current_language() == ENGLISH:
        return text
    for template in _TEMPLATES:
        if match := _pattern(template).fullmatch(text):
            return say(template, **{name: say_stored(part) for name, part in _parts(match)})
    return term(text)


def _parts(match: re.Match[str]) -> list[tuple[str, str]]:
    return [(name, part or "") for name, part in match.groupdict().items()]


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """Whatever stands in the places of a template, the shortest that fits."""
    return re.compile(
        "".join(
            f"(?P<{part}>.+?)" if at % 2 else re.escape(part)
            for at, part in enumerate(_PLACE.split(template))
        ),
        re.DOTALL,
    )
