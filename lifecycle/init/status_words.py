"""What one word or phrase of a kind or a status means, and which phrases are no purchase.

A phrase with a negation ("not paid", "no sale") is never a purchase, and neither is one that begins
with a word for a failure ("declined - insufficient funds").
"""

from __future__ import annotations

import re

from lifecycle.init.source import split_words, squash
from lifecycle.init.value_words import KIND_WORDS, NEGATION_WORDS, PENDING_WORDS, TEST_WORDS

PENDING, TEST = "pending", "test"
# What the first part of a phrase says of the whole: a failure stays one, whatever is the reason.
_FINAL = ("payment_failed", "void")
# Parts of the words for a part that was given back.
_PARTLY = ("partial", "partly", "parti", "teil", "parcial", "部分")
_GIVEN_BACK = (
    "refund", "return", "erstatt", "gutschr", "rembours", "reembols", "devuelt", "devol", "estorn",
    "退款",
)  # fmt: skip


def meaning_of(value: str, table: str) -> str:
    """The kind that a value means: of the contract, "pending", "test", or '' where it is unknown.

    >>> meaning_of("wc-completed", "transactions"), meaning_of("No-Sale", "transactions")
    ('purchase', '')
    >>> meaning_of("declined - insufficient funds", "transactions")
    'payment_failed'
    """
    known = _known_words(table)
    whole = known.get(squash(value), "")
    if whole:
        return whole
    if table == "transactions" and is_partial_refund(value):
        return "purchase"
    words = split_words(value)
    # Exports put a short word before theirs, as in wc-completed.
    if len(value) > 3 and value[2] == "-" and words and not _is_negation(words[0]):
        whole = known.get("".join(words[1:]), "")
    first = known.get(squash(re.split(r"[-–:;,(/]", value, maxsplit=1)[0]), "")
    return whole or (first if first in _FINAL else "")


def is_partial_refund(value: str) -> bool:
    """Whether a status says that a part of the money was given back, in any language.

    >>> is_partial_refund("partially_refunded"), is_partial_refund("Teilweise erstattet")
    (True, True)
    >>> is_partial_refund("refunded"), is_partial_refund("partially paid")
    (False, False)
    """
    word = squash(value)
    return any(each in word for each in _PARTLY) and any(each in word for each in _GIVEN_BACK)


def is_no_purchase(value: str) -> bool:
    """Whether an unknown phrase has a negation, or a word for something else than a purchase.

    >>> is_no_purchase("not paid"), is_no_purchase("payment declined"), is_no_purchase("frozen")
    (True, True, False)
    """
    known = _known_words("transactions")
    words = split_words(value)
    return any(_is_negation(word) for word in words) or any(
        known.get(word, "purchase") != "purchase" for word in words
    )


def _known_words(table: str) -> dict[str, str]:
    known = {
        squash(word): kind
        for kind, words in KIND_WORDS[table].items()
        for word in (kind, *words.split())
    }
    if table == "transactions":
        known |= {squash(word): PENDING for word in PENDING_WORDS.split()}
        known |= {squash(word): TEST for word in TEST_WORDS.split()}
    return known


def _is_negation(word: str) -> bool:
    """Whether the word is one for not, or a word for a purchase with one in front: `unpaid`."""
    negations = {squash(each) for each in NEGATION_WORDS.split()}
    if word in negations:
        return True
    bought = {each for each, kind in _known_words("transactions").items() if kind == "purchase"}
    return word not in bought and any(
        word.startswith(each) and word[len(each) :] in bought for each in negations
    )
