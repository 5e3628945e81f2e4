"""The reason of a score in the language of the reader.

Scores hold English sentences. Each was written from a template of the catalogue (`words`), so it is
read back by the templates, and written with the translation that the catalogue of messages has
under the context `reason`. What nobody has translated (a business's own features) stays.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from string import Formatter

from features.catalogue import FAMILIES
from features.core.language import CHINESE, REASON, catalogue, current_language
from features.recipes.recipe import FEATURES
from serving.scoring.reason_text import GAP
from serving.scoring.reason_values import ALL_TIME, SINGULAR

# What the sentences are put together from, around the words of a feature.
DIRECTIONS = ("raises the risk: {phrase}", "lowers the risk: {phrase}")
USUAL = "{phrase} (usually {usual})"
WINDOWS = ("{days} days", ALL_TIME)
ANSWERS = ("yes", "no")
# As features/catalogue/attributes.py writes the words of an attribute.
ATTRIBUTES = ("{name} is {level} (1 yes, 0 no): {value:.0f}", "{name}: {value:g}")
# … stands for the value where a reason is counted over customers (`reason_text`).
_NUMBER = rf"(?:[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?%?|{GAP})"
_FIELDS = {
    "value": _NUMBER,
    "days": _NUMBER,
    "window": rf"{_NUMBER} days?|{ALL_TIME}",
    "answer": f"yes|no|{GAP}",
    # No value holds a bracket; a phrase may hold several.
    "usual": "[^()]+",
}
_PLACE = re.compile(r"\{(\w+)[^{}]*\}")
_PLURAL = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, SINGULAR)) + r")(?!\w)")


def reason_templates() -> list[str]:
    """All that has a translation of context `reason`: the words of the catalogue and the frame."""
    entries = [entry for entry in FEATURES.values() if entry.family in FAMILIES]
    words = [entry.words for entry in entries if _PLACE.sub("", entry.words)]
    return [*dict.fromkeys(words), *ATTRIBUTES, *DIRECTIONS, USUAL, *WINDOWS, *ANSWERS]


def say_reason(text: str) -> str:
    """A reason (`raises the risk: last contact 52 days ago (usually 2)`) in the current language.

    Also one without its direction, and with … for its value. Words that are not the catalogue's
    stay as they are, and so does a text that is no reason.
    """
    if current_language() != CHINESE:
        return text
    for template in DIRECTIONS:
        if parts := _read(template, text):
            return _write(template, {"phrase": _say_phrase(parts["phrase"])})
    return _say_phrase(text)


def _say_phrase(text: str) -> str:
    """The sentence about the value, with or without what is usual."""
    for template in _phrase_templates():
        # Words may end with brackets of their own, so the whole comes first.
        if parts := _read(template, text):
            return _write(template, parts)
    parts = _read(USUAL, text)
    if parts is None or parts["phrase"] == text:
        return text
    usual = _write(parts["usual"], {}) if parts["usual"] in ANSWERS else parts["usual"]
    return _write(USUAL, {"phrase": _say_phrase(parts["phrase"]), "usual": usual})


def _write(template: str, parts: Mapping[str, str]) -> str:
    """The translation of a template with its places filled."""
    known = catalogue(current_language()).get(template, REASON)
    translated = str(known.string) if known is not None and known.string else template
    translated_parts = {name: _say_part(name, value) for name, value in parts.items()}
    return _PLACE.sub(lambda place: translated_parts[place[1]], translated)


def _say_part(name: str, value: str) -> str:
    if name == "answer" and value in ANSWERS:
        return _write(value, {})
    if name != "window":
        return value
    days = _read(WINDOWS[0], value)
    return _write(WINDOWS[0], days) if days else _write(value, {})


def _read(template: str, text: str) -> dict[str, str] | None:
    match = _pattern(template).fullmatch(text)
    return match.groupdict() if match else None


@functools.cache
def _phrase_templates() -> tuple[str, ...]:
    """The words of features; those of attributes fit nearly everything and come last."""
    frame = (*DIRECTIONS, USUAL, *WINDOWS, *ANSWERS)
    return tuple(template for template in reason_templates() if template not in frame)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """A pattern of the sentences that a template gives, with a noun as plural or as singular."""
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts += [_noun_or_text(part) for part in _PLURAL.split(literal)]
        if name is not None:
            parts.append(f"(?P<{name}>{_FIELDS.get(name, '.+')})")
    return re.compile("".join(parts), re.DOTALL)


def _noun_or_text(part: str) -> str:
    escaped = re.escape(part)
    return f"(?:{escaped}|{re.escape(SINGULAR[part])})" if part in SINGULAR else escaped
