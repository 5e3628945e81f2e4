"""Reasons as text, read back: every sentence that the catalogue can write."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.contract import CONTRACT
from features.engine.columns import list_columns
from features.recipes.attributes import Attribute
from serving.scoring.reason_text import read_reason
from serving.scoring.reason_values import describe_value, value_format
from tests.support.definitions import definitions_of

ATTRIBUTES = (
    Attribute("plan", "text", False, (("gold", "plan_is_gold"), ("3 {x}: 1", "plan_is_3_x_1"))),
    Attribute("seats", "number", False, (("", "seats"),)),
    Attribute("fee in 3 parts", "money", False, (("", "fee_in_3_parts"),)),
)
VALUES = (0.0, 1.0, 0.5, 0.07, -1.0, 2.0, 21.0, 41.25, 1234.0, 12_345_678.9)
COLUMNS = list_columns(
    definitions_of(windows_days=(1, 7, 60, 365), attributes=ATTRIBUTES, contractual=True),
    tables=(*CONTRACT,),
)
columns = pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)


def phrase_of(column):
    """The feature's words with … for the value, and its own window."""
    days = "1 day" if column.days == 1 else f"{column.days or 0:g} days"
    words = re.sub(r"\{(value|answer)[^}]*\}", "…", column.feature.words)
    return words.format(window="all recorded time" if column.days is None else days)


def written(column, value):
    """The number that a sentence shows of a value."""
    form = value_format(column)
    if form is None:
        return float(value >= 0.5)
    text = f"{value:{form}}".replace(",", "")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


@columns
def test_every_sentence_of_the_catalogue_is_read_back(column):
    for value in VALUES:
        for usual in (None, *VALUES):
            parts = read_reason(f"raises the risk: {describe_value(column, value, usual)}")
            assert parts.direction == "raises"
            assert parts.phrase == phrase_of(column)
            assert parts.value == written(column, value)
            assert parts.usual == (None if usual is None else written(column, usual))


@given(
    column=st.sampled_from(COLUMNS),
    value=st.floats(-1e9, 1e9),
    usual=st.floats(-1e9, 1e9) | st.none(),
)
def test_any_value_is_read_back(column, value, usual):
    parts = read_reason(f"lowers the risk: {describe_value(column, value, usual)}")
    assert (parts.direction, parts.phrase) == ("lowers", phrase_of(column))
    assert parts.value == written(column, value)
    assert parts.usual == (None if usual is None else written(column, usual))


def test_two_columns_have_two_phrases():
    phrases = [phrase_of(column) for column in COLUMNS if "_ewm_" not in column.name]
    assert len(set(phrases)) == len(phrases)


def test_a_percentage_is_the_share_that_it_names():
    parts = read_reason(
        "raises the risk: opened or clicked 7% of messages in 90 days (usually 29%)"
    )
    assert (parts.value, parts.usual) == (0.07, 0.29)


@pytest.mark.parametrize(
    ("text", "phrase", "value", "usual"),
    [
        ("bought 3 boats in 60 days (usually 1)", "bought … boats in 60 days", 3.0, 1.0),
        ("-2.5 of 10 boats, last 30 days", "… of … boats, last 30 days", -2.5, None),
        ("sails at night", "sails at night", None, None),
        ("likes b2b and 4x4", "likes b2b and 4x4", None, None),
        ("tides: 1e+06", "tides: …", 1e6, None),
        ("", "", None, None),
    ],
)
def test_a_sentence_that_nothing_explains_has_no_numbers_but_those_of_windows(
    text, phrase, value, usual
):
    parts = read_reason(f"raises the risk: {text}")
    assert (parts.phrase, parts.value, parts.usual) == (phrase, value, usual)


def test_sentences_of_own_features_are_read_by_their_words():
    text = "raises the risk: 1 boat visit of the 9 in port within 30 days (usually 2)"
    words = "{value:.0f} boat visits of the 9 in port within {window}"
    parts = read_reason(text, (words,))
    assert parts.phrase == "… boat visits of the 9 in port within 30 days"
    assert (parts.value, parts.usual) == (1.0, 2.0)
    assert read_reason(text).phrase == "… boat visit of the … in port within … days"
    # Words that name no value, or several, explain nothing.
    for other in ("sails {window}", "{value} of {value:.0f}"):
        assert read_reason(text, (other,)) == read_reason(text)


@pytest.mark.parametrize("text", ["", "raises the risk", "keeps the risk: 3 boats", "no reasons"])
def test_what_is_no_reason_is_refused(text):
    with pytest.raises(ValueError, match="no reason of a score"):
        read_reason(text)
