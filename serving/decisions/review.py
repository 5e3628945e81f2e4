"""What is odd about actions: conditions that nobody meets, actions that never win, and gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.action_schema import Action
from features.core.condition import TEXTS, WORDS, Comparison, Condition, Membership, parse_condition
from features.core.errors import suggestion
from features.core.language import number, say
from serving.decisions.plan import Options

OPEN_FIELDS = ("reason",)  # words that are as free as language
WANTED = ("at_risk", "dormant")


@dataclass(frozen=True)
class Finding:
    """What is odd, about which action (None: about all of them), and a sentence."""

    kind: str
    action: str | None
    sentence: str


def review_actions(
    customers: pa.Table, actions: Mapping[str, Action], options: Options
) -> list[Finding]:
    """The findings by action, then the gaps; nothing is odd where the list is empty."""
    findings: list[Finding] = []
    pays = np.nan_to_num(options.profit, nan=-np.inf)
    best = np.where(pays.max(axis=1, initial=-np.inf) > 0, pays.argmax(axis=1), -1)
    for place, (name, action) in enumerate(actions.items()):
        findings += _unknown_words(name, action, customers)
        fits = int(options.fits[:, place].sum())
        if not fits:
            text = say("nobody meets the condition")
            findings.append(Finding("never fires", name, text))
        elif not (pays[:, place] > 0).any():
            text = say("it is meant for {n} customers and pays for none", n=number(fits))
            findings.append(Finding("never pays", name, text))
        elif not (best == place).any():
            winners = sorted({options.names[each] for each in best[pays[:, place] > 0].tolist()})
            text = say(
                "it pays for {n} customers, and for each of them {others} pays more",
                n=number(int((pays[:, place] > 0).sum())),
                others=", ".join(winners),
            )
            findings.append(Finding("never the best", name, text))
    return [*findings, *_gaps(customers, options)]


def _unknown_words(name: str, action: Action, customers: pa.Table) -> Iterable[Finding]:
    """Words of a condition that no customer has: often they are misspelt."""
    for field, word in _words(parse_condition(action.when)):
        if field in OPEN_FIELDS:
            continue
        if field in WORDS:
            continue  # known already where the condition is read
        known = [each for each in pc.unique(customers[field]).to_pylist() if each is not None]
        if word not in known:
            near = suggestion(word, known)
            text = say("no customer has {field} {word}", field=field, word=word)
            yield Finding("unknown word", name, f"{text}: {near}" if near else text)


def _words(condition: Condition) -> Iterable[tuple[str, str]]:
    if isinstance(condition, Comparison) and condition.field in TEXTS:
        yield condition.field, str(condition.value)
    elif isinstance(condition, Membership) and condition.field in TEXTS:
        yield from ((condition.field, str(each)) for each in condition.values)
    for part in getattr(condition, "parts", ()) or filter(None, [getattr(condition, "part", None)]):
        yield from _words(part)


def _gaps(customers: pa.Table, options: Options) -> Iterable[Finding]:
    stages = np.array(customers["stage"].to_pylist(), dtype=object)
    without = ~options.fits.any(axis=1) if options.names else np.ones(len(stages), dtype=bool)
    for stage in WANTED:
        count = int((without & (stages == stage)).sum())
        if count:
            text = say(
                "{n} customers of stage {stage} meet no condition", n=number(count), stage=stage
            )
            yield Finding("gap", None, text)
