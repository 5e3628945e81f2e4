"""The languages that people read: English, in which the code is written, and Chinese.

A message is an English sentence with its values in braces. It is looked up in the one catalogue of
a language, `translations/<language>.po` (GNU gettext, read with Babel); what is not in it stays
English. Numbers and dates follow the locale (CLDR).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Any

from babel.core import Locale
from babel.dates import format_date
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from features.core.errors import BadSetting

ENGLISH, CHINESE = "en", "zh"
LANGUAGES = {ENGLISH: "en_GB", CHINESE: "zh_Hans_CN"}
VARIABLE = "LIFECYCLE_LANG"
# The contexts of single words, of whole texts that tables carry, and of the reasons of scores.
TERM, TEXT, REASON = "term", "text", "reason"
_NO_DECIMALS = 1e15
_FOLDER = Path(__file__).parent / "translations"
_NUMBER = re.compile(r"\d+(?:[-.,:]\d+)*")
_MEETING = re.compile("[\u4e00-\u9fff][0-9A-Za-z]|[0-9A-Za-z%][\u4e00-\u9fff]")
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def current_language() -> str:
    """`en` or `zh`."""
    return _current.get()


@contextmanager
def use_language(language: str) -> Iterator[None]:
    """Say everything within in this language, one of LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(language)
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def set_language(language: str) -> None:
    """Say everything from here on in this language, one of LANGUAGES. For the command line."""
    if language not in LANGUAGES:
        raise ValueError(language)
    _current.set(language)


def read_language(variable: str | None) -> str:
    """The language that LIFECYCLE_LANG names: `zh` or a locale such as `zh_CN.UTF-8`.

    English without one. BadSetting for a language that there is no catalogue of.
    """
    if not variable:
        return ENGLISH
    language = re.split("[_.-]", variable.strip().lower())[0]
    if language in ("c", "posix"):
        return ENGLISH
    if language not in LANGUAGES:
        raise BadSetting(
            where=VARIABLE,
            got=f"'{variable}'",
            rule=f"The languages are {' and '.join(LANGUAGES)}.",
            fix=f"Set {VARIABLE}={ENGLISH} or {VARIABLE}={CHINESE}, or unset it.",
        )
    return language


@functools.cache
def catalogue(language: str) -> Catalog:
    """All messages of a language; English has none."""
    if language == ENGLISH:
        return Catalog(locale=LANGUAGES[ENGLISH])
    with (_FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=LANGUAGES[language])


def say(message: str, /, **values: Any) -> str:
    """The message in the current language, with its values in the braces.

    Example: `say("scores of {day}", day=day("2025-01-01"))`.
    """
    translated = translate(message)
    if current_language() != CHINESE:
        return translated.format(**values)
    return _fill(translated, values)


def translate(message: str, /) -> str:
    """The message in the current language, its braces not filled yet."""
    return _look_up(message)


def join_words(words: Iterable[str]) -> str:
    """Words, names or dates as a list: `a, b`."""
    return say(", ").join(words)


def mark(message: str, /) -> str:
    """The message as it is: it is said later, by a variable. So the catalogue lists it."""
    return message


def term(word: str) -> str:
    """A word of the product's own (a stage, a tier, a verdict) in the current language.

    Words of the business itself, such as its segments, stay as they are.
    """
    return _look_up(word, TERM)


def translate_text(text: str) -> str:
    """A whole text that a table carries (a definition, a population) in the current language.

    The catalogue has it with `{0}`, `{1}` … where numbers and days stand.
    """
    numbers: list[str] = []

    def number_place(match: re.Match[str]) -> str:
        numbers.append(match[0])
        return f"{{{len(numbers) - 1}}}"

    pattern = _NUMBER.sub(number_place, text)
    translated = _look_up(pattern, TEXT)
    if translated == pattern:
        return text
    return re.sub(r"\{(\d+)\}", lambda match: numbers[int(match[1])], translated)


def text_pattern(text: str) -> str:
    """The text as the catalogue lists it, with `{0}` … instead of its numbers."""
    places = iter(range(len(text)))
    return _NUMBER.sub(lambda _: f"{{{next(places)}}}", text)


def number(value: float, digits: int = 0) -> str:
    """A number with exactly so many decimals, in the locale's groups: `1,234.5`.

    From 10^15 on, where no decimal of a float is left, as a power of ten: `1.2e+300`.
    """
    if abs(value) >= _NO_DECIMALS:
        return f"{value:.3g}"
    decimals = "." + "0" * digits if digits else ""
    return format_decimal(value, format=f"#,##0{decimals}", locale=_locale())


def percent(share: float, digits: int = 1) -> str:
    """A share in percent with so many decimals: `23.0%` of .23."""
    decimals = "." + "0" * digits if digits else ""
    return format_percent(share, format=f"#,##0{decimals}%", locale=_locale())


def day(text: str) -> str:
    """A day (YYYY-MM-DD) or a month (YYYY-MM) as people write it: `1 Jan 2025`, `2025年1月1日`.

    Of an RFC 3339 instant the day, the time to the minute and its offset.
    """
    if len(text) > len("YYYY-MM-DD"):
        return f"{day(text[:10])}, {text[11:16]} ({text[-6:]})"
    chinese = current_language() == CHINESE
    if len(text) == len("YYYY-MM"):
        pattern = "y年M月" if chinese else "MMM y"
        return format_date(date.fromisoformat(f"{text}-01"), pattern, locale=_locale())
    pattern = "y年M月d日" if chinese else "d MMM y"
    return format_date(date.fromisoformat(text), pattern, locale=_locale())


def _fill(message: str, values: Mapping[str, Any]) -> str:
    """The message with its values, and a space where Chinese meets a Latin letter or a digit.

    Within a value nothing changes: it may be a path or a name.
    """
    result = ""
    for literal, name, form, _ in Formatter().parse(message):
        value = "" if name is None else format(values[name], form or "")
        for part in (literal, value):
            if _MEETING.fullmatch(result[-1:] + part[:1]):
                result += " "
            result += part
    return result


@functools.cache
def _parsed_locale(language: str) -> Locale:
    return Locale.parse(LANGUAGES[language])


def _locale() -> Locale:
    return _parsed_locale(current_language())


def _look_up(message: str, context: str | None = None) -> str:
    language = current_language()
    if language == ENGLISH:
        return message
    known = catalogue(language).get(message, context)
    return str(known.string) if known is not None and known.string else message
