"""Events that keep every rule and are as odd as the rules allow: answered, with probabilities, or
refused; never a 5xx.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.core.contract import CONTRACT, LATEST_US, MONEY_LIMIT, NUMBER_LIMIT
from serving.api.schemas import rfc3339
from tests.support.checks import nonempty
from tests.support.services import finite

AS_OF = 1_717_200_000_000_000
SCALES = {
    "csat": (1, 5),
    "nps": (0, 10),
    "review": (1, 5),
    "complaint": (-NUMBER_LIMIT, NUMBER_LIMIT),
}
INTERACTIONS = [
    "visit",
    "login",
    "usage",
    "sent",
    "opened",
    "clicked",
    "call",
    "cancel_page",
    "something else",
]
before = (
    st.integers(0, AS_OF - 1)
    | st.integers(AS_OF - 10**13, AS_OF - 1)
    | st.sampled_from([0, 1, AS_OF - 2, AS_OF - 1])
)
then = before.map(rfc3339)
ever = (
    st.integers(0, LATEST_US - 1) | st.sampled_from([AS_OF - 1, AS_OF, AS_OF + 1, LATEST_US - 1])
).map(rfc3339)
money = (
    st.integers(-MONEY_LIMIT, MONEY_LIMIT) | st.sampled_from([0, 1, -1, MONEY_LIMIT, -MONEY_LIMIT])
).map(lambda minor: minor / 100)
number = st.floats(-NUMBER_LIMIT, NUMBER_LIMIT) | st.sampled_from(
    [0.0, -0.0, 5e-324, NUMBER_LIMIT, -NUMBER_LIMIT]
)
text = st.sampled_from(["", " ", "a", "b"])
transactions = st.fixed_dictionaries(
    {"occurred_at": then, "amount": money},
    optional={
        "kind": st.sampled_from(CONTRACT["transactions"].column("kind").kinds),
        "recorded_at": then,
        "quantity": number,
        "discount": money,
        "category": text,
        "channel": text,
        "transaction_id": st.uuids().map(str),
    },
)
interactions = st.fixed_dictionaries(
    {"occurred_at": then, "kind": st.sampled_from(INTERACTIONS)},
    optional={"quantity": number, "recorded_at": then, "channel": text},
)
contracts = st.fixed_dictionaries(
    {"starts_at": ever, "ends_at": ever, "recorded_at": then},
    optional={"plan": text, "price": money, "auto_renew": st.booleans(), "cancelled_at": then},
)


@st.composite
def feedback(draw):
    kind, (at, *later) = (
        draw(st.sampled_from(sorted(SCALES))),
        sorted([draw(before) for _ in range(3)]),
    )
    answered, resolved = (rfc3339(one) for one in draw(st.permutations(later)))
    row = {"occurred_at": rfc3339(at), "kind": kind}
    if draw(st.booleans()):
        row |= {"score": draw(st.floats(*SCALES[kind])), "answered_at": answered}
    return row | ({"resolved_at": resolved} if draw(st.booleans()) else {})


def customers(*needed, **tables):
    """Customers with the `needed` tables, which no score can do without, and any of the others."""
    rows = {name: st.lists(row, max_size=8) for name, row in tables.items()}
    always = {"customer_id": st.uuids().map(str)} | {name: rows.pop(name) for name in needed}
    return st.lists(st.fixed_dictionaries(always, optional=rows), min_size=1, max_size=3)


odd = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
usual = {"transactions": transactions, "interactions": interactions, "feedback": feedback()}


@given(customers("transactions", **usual))
@odd
def test_odd_events_of_a_shop_are_answered(shop_service, sent):
    assert _answered(shop_service, sent) == 200


@given(customers("contracts", "interactions", **usual, contracts=contracts))
@odd
def test_odd_terms_are_answered_or_refused(subscription_service, sent):
    assert _answered(subscription_service, sent) in (
        200,
        422,
    )  # a term may end before it starts, versions contradict


def _answered(service, sent):
    answer = service.ask({"as_of": rfc3339(AS_OF), "customers": sent})
    said = finite(answer.content)
    for entry in nonempty(said["scores"]) if answer.status_code == 200 else ():
        next_stages = [value for name, value in entry.items() if name.startswith("p_next_")]
        assert entry["error"] == "prospect" or abs(sum(next_stages) - 1) < 1e-9
        assert entry["p_churn"] is None or 0 < entry["p_churn"] < 1
    return answer.status_code
