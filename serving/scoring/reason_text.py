"""The sentence of a reason, taken apart: direction, phrase, value and usual value.

`raises the risk: last contact 52 days ago (usually 2)` raises, says `last contact … days ago`, 52
and 2. The catalogue's own sentences are the patterns, so that the days of a window stay in the
phrase and the value alone is replaced. It is the inverse of `reason_values.describe_value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter

from features.recipes.recipe import FEATURES
from serving.scoring.reason_values import ALL_TIME, singular_counts

GAP = "…"
DIRECTIONS = ("raises", "lowers")
_NUMBER = r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?%?"
_WINDOW = rf"(?P<window>\d+(?:\.\d+)?(?:e[+-]?\d+)? days?|{ALL_TIME})"
_VALUE_MARK, _WINDOW_MARK = "\ue000", "\ue001"  # characters that are in no sentence
_FRAME = re.compile(
    rf"({'|'.join(DIRECTIONS)}) the risk: (.*?)(?: \(usually ({_NUMBER}|yes|no)\))?", re.DOTALL
)
_NUMBERS, _ONE_DAY = re.compile(_NUMBER), re.compile(r"# day\b")
# Of a sentence that no pattern explains: numbers after these words are a window.
_NOT_OF_A_WINDOW = re.compile(rf"(?<!\bin )(?<!\blast )(?<![\w.,+-]){_NUMBER}(?!\w)")
# An attribute of customers names itself: `plan is gold (1 yes, 0 no): 1`, `seats: 12.5`.
_ATTRIBUTE = re.compile(rf"(.+: )({_NUMBER})", re.DOTALL)


@dataclass(frozen=True)
class ReasonParts:
    """direction: raises or lowers. phrase: the sentence with … in place of the value.

    value, usual: the number in the sentence and the one after "usually", as they are written; a
    percentage is a share, yes is 1 and no is 0; None where the sentence has none.
    """

    direction: str
    phrase: str
    value: float | None
    usual: float | None


def read_reason(text: str, further: Iterable[str] = ()) -> ReasonParts:
    """The parts of one reason of a score; ValueError for a text that is none.

    further: sentences of features that are not in the catalogue (`Feature.words`). In a sentence
    that nothing explains each number becomes …, but for those after "in" and "last".

    >>> read_reason("raises the risk: 1 complaint in 30 days (usually 0)")
    ReasonParts(direction='raises', phrase='… complaints in 30 days', value=1.0, usual=0.0)
    """
    frame = _FRAME.fullmatch(text)
    if frame is None:
        raise ValueError(f"no reason of a score: {text!r}")
    direction, sentence, usual = frame.groups()
    phrase, value = _read_sentence(sentence, _patterns_by_outline(tuple(further)))
    return ReasonParts(direction, phrase, value, _number(usual))


@dataclass(frozen=True)
class _Pattern:
    """One way in which a feature's sentence is written; phrase: with {window} for the window."""

    written: re.Pattern[str]
    phrase: str


def _read_sentence(
    sentence: str, patterns: Mapping[str, Sequence[_Pattern]]
) -> tuple[str, float | None]:
    """The phrase and the value."""
    for pattern in patterns.get(_outline(sentence), ()):
        match = pattern.written.fullmatch(sentence)
        if match is not None:
            groups = match.groupdict()
            phrase = pattern.phrase.replace("{window}", groups.get("window", ""))
            return phrase, _number(groups.get("value"))
    attribute = _ATTRIBUTE.fullmatch(sentence)
    if attribute is not None:
        return attribute[1] + GAP, _number(attribute[2])
    first = _NOT_OF_A_WINDOW.search(sentence)
    return _NOT_OF_A_WINDOW.sub(GAP, sentence), _number(first[0] if first else None)


def _outline(sentence: str) -> str:
    """The sentence with # for its numbers: one lookup instead of a search through all patterns."""
    return _ONE_DAY.sub("# days", _NUMBERS.sub("#", sentence))


@lru_cache(maxsize=8)
def _patterns_by_outline(further: tuple[str, ...]) -> dict[str, list[_Pattern]]:
    """The patterns by the outline of the sentences that they match, the catalogue's first."""
    listed: dict[str, list[_Pattern]] = {}
    catalogue = [entry.words for entry in FEATURES.values()]
    for words in dict.fromkeys([*catalogue, *further]):
        for example, pattern in _ways_to_write(words):
            for window in ("2 days", ALL_TIME):
                outline = _outline(example.replace(_WINDOW_MARK, window))
                listed.setdefault(outline, []).append(pattern)
    return listed


def _ways_to_write(words: str) -> Iterator[tuple[str, _Pattern]]:
    """An example and the pattern of each: of many and of one, or of yes and no."""
    parts = [(literal, name) for literal, name, _, _ in Formatter().parse(words)]
    if sum(name in ("value", "answer") for _, name in parts) != 1:
        return
    marks = {None: "", "window": _WINDOW_MARK}
    text = "".join(literal + marks.get(name, _VALUE_MARK) for literal, name in parts)
    head, tail = text.split(_VALUE_MARK)
    phrase = (head + GAP + tail).replace(_WINDOW_MARK, "{window}")
    is_answer = any(name == "answer" for _, name in parts)
    values = {"yes": "yes", "no": "no"} if is_answer else {"5": _NUMBER, "1": "1"}
    for value, group in values.items():
        example = singular_counts(head + value + tail)
        rest = example[len(head) + len(value) :]
        written = f"{_windowed(head)}(?P<value>{group}){_windowed(rest)}"
        yield example, _Pattern(re.compile(written), phrase)


def _windowed(text: str) -> str:
    return re.escape(text).replace(_WINDOW_MARK, _WINDOW)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    if text in ("yes", "no"):
        return float(text == "yes")
    plain = text.replace(",", "")
    # As decimal text, so that 7% is the float that 0.07 is; without the sign of -0%.
    return float(f"{plain[:-1]}e-2" if plain.endswith("%") else plain) + 0.0
