"""Columns of customers that say who is still one today, by their values and whatever their name.

With them a model knows the answer: a row shows today's status and not the one of a training date.
"""

from __future__ import annotations

from lifecycle.init.source import Source, squash
from lifecycle.init.value_words import CUSTOMER_STATUS_WORDS

_MOST_WORDS, _SHARE = 20, 0.5


def is_todays_status(source: Source, column: str) -> bool:
    """Whether at least half of the few words of a column are those of a status: active, left."""
    key = ("todays status", column)
    if key not in source.cache:
        words = [row[0] for row in source.query(source.distinct_values(column, _MOST_WORDS + 1))]
        known = {squash(word) for word in CUSTOMER_STATUS_WORDS.split()}
        matches = sum(squash(word) in known for word in words)
        source.cache[key] = 0 < len(words) <= _MOST_WORDS and matches >= _SHARE * len(words)
    return bool(source.cache[key])
