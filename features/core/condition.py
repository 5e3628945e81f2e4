"""Conditions on a customer: `stage in (at_risk, dormant) and risk >= 0.3`. A small closed language.

    condition  = and_term { "or" and_term }
    and_term   = factor { "and" factor }
    factor     = "not" factor | "(" condition ")" | comparison
    comparison = field operator value | field "in" "(" value { "," value } ")"
                 | field "contains" text
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">="
    value      = number | word | text in quotes

Nothing is evaluated as code. A customer whose field is not known meets no comparison of it, and
`not` turns whether a condition is met: `not risk > 0.3` is met by a customer without a risk.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import suggestion

NUMBERS = {
    "risk": "p_churn of the score",
    "value": "clv_if_stays: the money expected of the customer who stays",
    "at_stake": "clv_if_stays less clv",
    "days_since_activity": "days since the last activity",
    "days_since_complaint": "days since the last complaint; not known without one",
    "days_since_contact": "days since the last contact of a campaign; not known without one",
    "days_without_contact": "the same, or days since the first activity where there was none",
}
TEXTS = {
    "stage": "the stage of the score",
    "tier": "the tier by the money of the last 365 days",
    "segment": "the customer's segment",
    "channel": "the channel of acquisition",
    "rfm_segment": "the segment by recency, frequency and money",
    "reason": "the words of the first reason that raises the risk",
}
FIELDS = {**NUMBERS, **TEXTS}
# The words of a field that are the same in every business.
WORDS = {"stage": ("prospect", "new", "growing", "loyal", "at_risk", "dormant", "churned")}
MOST_CHARACTERS, MOST_DEPTH = 2_000, 50
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?(?![\w.]))|(?P<word>[^\W\d][\w]*)"""
    r"""|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<sign><=|>=|!=|[=<>(),]))"""
)
_COMPARE: dict[str, Callable] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Condition(Protocol):
    """Something that a customer meets or does not."""

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        """For each row of a table with the columns FIELDS; never null."""

    def fields(self) -> set[str]:
        """The fields that it reads."""


@dataclass(frozen=True)
class Anybody:
    """The empty condition."""

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        return pa.repeat(pa.scalar(True), customers.num_rows)

    def fields(self) -> set[str]:
        return set()


@dataclass(frozen=True)
class Comparison:
    """field operator value."""

    field: str
    operator: str
    value: float | str

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        met = _COMPARE[self.operator](customers[self.field].combine_chunks(), self.value)
        return pc.fill_null(met, False)

    def fields(self) -> set[str]:
        return {self.field}


@dataclass(frozen=True)
class Membership:
    """field in (values)."""

    field: str
    values: tuple[float | str, ...]

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        column = customers[self.field].combine_chunks()
        return pc.is_in(column, pa.array(self.values, column.type))

    def fields(self) -> set[str]:
        return {self.field}


@dataclass(frozen=True)
class Containing:
    """field contains text; large and small letters are alike."""

    field: str
    text: str

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        column = customers[self.field].combine_chunks()
        return pc.fill_null(pc.match_substring(column, self.text, ignore_case=True), False)

    def fields(self) -> set[str]:
        return {self.field}


@dataclass(frozen=True)
class Several:
    """All of the parts (`and`), or any of them (`or`)."""

    parts: tuple[Condition, ...]
    is_all: bool

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        combine = pc.and_ if self.is_all else pc.or_
        met = self.parts[0].holds(customers)
        for part in self.parts[1:]:
            met = combine(met, part.holds(customers))
        return met

    def fields(self) -> set[str]:
        return set().union(*(part.fields() for part in self.parts))


@dataclass(frozen=True)
class Not:
    """The part is not met."""

    part: Condition

    def holds(self, customers: pa.Table) -> pa.BooleanArray:
        return pc.invert(self.part.holds(customers))

    def fields(self) -> set[str]:
        return self.part.fields()


def parse_condition(text: str) -> Condition:
    """The condition of a text. ValueError says what was got, where, and what would be right.

    >>> parse_condition("stage in (at_risk, dormant) and risk >= 0.3").fields() == {"stage", "risk"}
    True
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a condition has at most {MOST_CHARACTERS:,} characters")
    return _Parser(_tokens(text)).parse() if text.strip() else Anybody()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(
                f"at character {at + 1}: a sign or number that no condition has. Texts with other "
                'signs than letters, digits and _ stand in quotes: segment = "two words"'
            )
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return tokens


class _Parser:
    """One token after the other; each method reads what its name says."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def parse(self) -> Condition:
        condition = self._any_of()
        if self.at < len(self.tokens):
            raise self._error("'and', 'or' or the end")
        return condition

    def _any_of(self) -> Condition:
        return self._several("or", lambda: self._several("and", self._factor))

    def _several(self, word: str, read: Callable[[], Condition]) -> Condition:
        parts = [read()]
        while self._take("word", word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Several(tuple(parts), is_all=word == "and")

    def _factor(self) -> Condition:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"a condition has at most {MOST_DEPTH} levels of 'not' and ( )")
        if self._take("word", "not"):
            part: Condition = Not(self._factor())
        elif self._take("sign", "("):
            part = self._any_of()
            self._expect("sign", ")")
        else:
            part = self._comparison()
        self.depth -= 1
        return part

    def _comparison(self) -> Condition:
        field = self._field()
        if self._take("word", "in"):
            self._expect("sign", "(")
            values = [self._value(field)]
            while self._take("sign", ","):
                values.append(self._value(field))
            self._expect("sign", ")")
            return Membership(field, tuple(values))
        if field in TEXTS and self._take("word", "contains"):
            return Containing(field, str(self._value(field)))
        token = self._next()
        if token is None or token.kind != "sign" or token.text not in _COMPARE:
            raise self._error("one of = != < <= > >= in")
        if field in TEXTS and token.text not in ("=", "!="):
            raise self._error(f"=, !=, in or contains: {field} is a text")
        self.at += 1
        return Comparison(field, token.text, self._value(field))

    def _field(self) -> str:
        token = self._next()
        if token is None or token.kind != "word" or token.text not in FIELDS:
            near = suggestion(token.text, FIELDS) if token is not None else ""
            raise self._error(f"one of {', '.join(FIELDS)}{f'; {near}' if near else ''}")
        self.at += 1
        return token.text

    def _value(self, field: str) -> float | str:
        token = self._next()
        is_number = token is not None and token.kind == "number"
        is_text = token is not None and token.kind in ("word", "double", "single")
        if token is None or not (is_number if field in NUMBERS else is_text):
            raise self._error(
                f"a number for {field}" if field in NUMBERS else f"a text for {field}"
            )
        known = WORDS.get(field, (token.text,))
        if is_text and token.text not in known:
            near = suggestion(token.text, known)
            raise self._error(f"one of {', '.join(known)}{f'; {near}' if near else ''}")
        self.at += 1
        return float(token.text) if is_number else token.text

    def _next(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _take(self, kind: str, text: str) -> bool:
        token = self._next()
        taken = token is not None and (token.kind, token.text) == (kind, text)
        self.at += taken
        return taken

    def _expect(self, kind: str, text: str) -> None:
        if not self._take(kind, text):
            raise self._error(f"'{text}'")

    def _error(self, expected: str) -> ValueError:
        token = self._next()
        if token is None:
            return ValueError(f"the condition ends where this is expected: {expected}")
        return ValueError(f"at character {token.place}, '{token.text[:40]}': expected {expected}")
