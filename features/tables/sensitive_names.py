"""Which attributes may be sensitive (age, gender, origin, religion, health …), by their names.

Values are not looked at: the name is what the business and the readers of a model card see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


def may_be_sensitive(name: str, words: Sequence[str]) -> bool:
    """Whether the name of an attribute holds one of the words of `[features] sensitive`.

    A word counts as a whole, in any case: names are split at everything but letters, and before a
    capital after a small letter. In scripts without spaces a word counts wherever it stands.

    Example: birth_year and BirthYear hold "birth"; average_order does not hold "age".
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parts = re.findall(r"[^\W\d_]+", spaced.lower())
    return any(
        word.lower() in parts if word.isascii() else word.lower() in name.lower()
        for word in words
        if word
    )
