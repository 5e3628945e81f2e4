"""Conditions on customers: a small closed language, read as it is written and never as code."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.condition import MOST_CHARACTERS, NUMBERS, TEXTS, WORDS, parse_condition
from features.recipes.stages import STAGES

CUSTOMERS = pa.table(
    {
        "stage": ["loyal", "at_risk", "dormant", None],
        "risk": [0.1, 0.5, 0.9, None],
        "value": [10.0, 20.0, None, 5.0],
        "reason": ["raises the risk: 3 Complaints in 60 days", None, "raises", "lowers"],
        "segment": ["two words", "b", "(c)", "üñ"],
    }
)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("", [1, 1, 1, 1]),
        ("   ", [1, 1, 1, 1]),
        ("risk >= 0.5", [0, 1, 1, 0]),
        ("risk<0.5", [1, 0, 0, 0]),
        ("not risk < 0.5", [0, 1, 1, 1]),
        ("risk = 0.5 or value = 5", [0, 1, 0, 1]),
        ("stage in (at_risk, dormant)", [0, 1, 1, 0]),
        ("stage in (at_risk, dormant) and value > 1", [0, 1, 0, 0]),
        ("stage != loyal", [0, 1, 1, 0]),
        ("not stage = loyal", [0, 1, 1, 1]),
        # and binds more than or, not more than and
        ("stage = loyal or stage = at_risk and risk > 0.6", [1, 0, 0, 0]),
        ("(stage = loyal or stage = at_risk) and risk > 0.3", [0, 1, 0, 0]),
        ("not stage = loyal and risk < 0.6", [0, 1, 0, 0]),
        ('segment = "two words"', [1, 0, 0, 0]),
        ("segment = 'two words'", [1, 0, 0, 0]),
        ('segment in ("(c)", üñ)', [0, 0, 1, 1]),
        ('reason contains "complaint"', [1, 0, 0, 0]),
        ("risk in (0.5, 0.9)", [0, 1, 1, 0]),
        ("value > -5", [1, 1, 0, 1]),
    ],
)
def test_who_meets_it(text, met):
    assert parse_condition(text).holds(CUSTOMERS).to_pylist() == [bool(each) for each in met]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stag = loyal", "did you mean 'stage'"),
        ("stage = atrisk", "did you mean 'at_risk'"),
        ("stage in (loyal, lost)", "one of prospect, new"),
        ("churn > 3", "one of risk"),
        ("risk", "ends where this is expected: one of ="),
        ("risk >", "a number for risk"),
        ("risk > high", "'high': expected a number for risk"),
        ("stage = 3", "expected a text for stage"),
        ("stage < loyal", "stage is a text"),
        ("risk contains 3", "one of ="),
        ("stage in loyal", "'('"),
        ("stage in ()", "a text for stage"),
        ("stage in (loyal", "')'"),
        ("(risk > 0.3", "')'"),
        ("risk > 0.3)", "'and', 'or' or the end"),
        ("risk > 0.3 stage = loyal", "'and', 'or' or the end"),
        ("risk > 0.3 &", "a sign or number that no condition has"),
        ('segment = "open', "a sign or number that no condition has"),
        ("risk > 1e5", "a sign or number that no condition has"),
        ("risk > 0.3; DROP TABLE x", "a sign or number that no condition has"),
        ("__import__('os')", "one of risk"),
        ("and", "one of risk"),
        ("x" * (MOST_CHARACTERS + 1), "characters"),
        ("(" * 60 + "risk > 1" + ")" * 60, "levels"),
        ("not " * 60 + "risk > 1", "levels"),
    ],
)
def test_what_is_no_condition_is_named_with_its_place(text, says):
    with pytest.raises(ValueError, match=r"condition|expected|character") as error:
        parse_condition(text)
    assert says in str(error.value)


def test_the_stages_are_those_of_the_rules():
    assert tuple(STAGES) == WORDS["stage"]


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_says_why_not(text):
    fields, error = set(), ""
    try:
        fields = parse_condition(text).fields()
    except ValueError as refusal:
        error = str(refusal)
    assert error or not text.strip() or fields
    assert fields <= {*NUMBERS, *TEXTS}


LEAVES = st.one_of(
    st.tuples(
        st.sampled_from(["risk", "value"]), st.sampled_from(["<", "<=", ">", ">=", "=", "!="])
    ).flatmap(lambda pair: st.integers(-5, 20).map(lambda n: f"{pair[0]} {pair[1]} {n}")),
    st.sampled_from(["loyal", "at_risk"]).map(lambda name: f"stage = {name}"),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) and ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) or ({two[1]})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=8,
)


@given(TREES)
def test_it_is_met_as_python_would_say(text):
    for place, row in enumerate(CUSTOMERS.to_pylist()):
        code = text.replace("stage =", "stage ==").replace(" = ", " == ")
        code = code.replace("loyal", "'loyal'").replace("at_risk", "'at_risk'")
        known = {name: _Known(row[name]) for name in ("risk", "value", "stage")}
        expected = bool(eval(code, {"__builtins__": {}}, known))
        assert parse_condition(text).holds(CUSTOMERS)[place].as_py() == expected


class _Known:
    """A value that no comparison is true of where it is not known."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return self.value is not None and self.value < other

    def __le__(self, other):
        return self.value is not None and self.value <= other

    def __gt__(self, other):
        return self.value is not None and self.value > other

    def __ge__(self, other):
        return self.value is not None and self.value >= other

    def __eq__(self, other):
        return self.value is not None and self.value == other

    def __ne__(self, other):
        return self.value is not None and self.value != other

    __hash__ = None
