"""A typed client of the service: the standard library alone, so the file can be copied.

Written by scripts/generate_client.py from the OpenAPI schema (/openapi.json). Do not edit.

    client = Client("http://127.0.0.1:3000", key)
    answer = client.score({"customer_ids": ["00042"]})

Entries have further columns: the curve, the value and the targets of the business.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Literal, NotRequired, TypedDict, cast


class Answer(TypedDict):
    """Answer of the service."""

    release_id: str
    as_of: str
    scores: list[Entry]
    history_as_of: NotRequired[str]


class Entry(TypedDict):
    """Entry of the service."""

    customer_id: str | None
    horizon_days: int | None
    eligible: bool | None
    stage: str | None
    stage_rule: str | None
    p_churn: float | None
    p_churn_low: float | None
    p_churn_high: float | None
    evidence: str | None
    stage_if_inactive: str | None
    p_next_prospect: float | None
    p_next_new: float | None
    p_next_growing: float | None
    p_next_loyal: float | None
    p_next_at_risk: float | None
    p_next_dormant: float | None
    p_next_churned: float | None
    next_stages: list[str] | None
    reason_1: str | None
    reason_2: str | None
    reason_3: str | None
    warnings: list[str] | None
    error: Literal["unknown_customer", "prospect", "no_consent", "refused"] | None
    decision: EntryDecision | None
    errors: NotRequired[list[EntryError]]
    error_count: NotRequired[int]


class EntryDecision(TypedDict):
    """EntryDecision of the service."""

    campaign: str
    decided_at: str
    action: str | None
    channel: str | None
    expected_profit: float | None
    hold_out: bool


class EntryError(TypedDict):
    """EntryError of the service."""

    where: str
    rule: str


class ScoreRequest(TypedDict):
    """Either `customer_ids`, from the latest run, or `customers` with raw events; up to 1,000."""

    customer_ids: NotRequired[list[str] | None]
    customers: NotRequired[list[CustomerEvents] | None]
    as_of: NotRequired[str | None]
    history: NotRequired[Literal["request", "run"]]
    errors: NotRequired[Literal["whole", "each"]]
    in_sample: NotRequired[bool]


class CustomerEvents(TypedDict):
    """One customer's raw events, all that are known."""

    customer_id: str
    transactions: NotRequired[list[Transactions]]
    interactions: NotRequired[list[Interactions]]
    feedback: NotRequired[list[Feedback]]
    contracts: NotRequired[list[Contracts]]
    customers: NotRequired[list[Customers]]
    treatments: NotRequired[list[Treatments]]


class Transactions(TypedDict):
    """Purchases, refunds and failed payments."""

    occurred_at: str
    amount: float
    recorded_at: NotRequired[str | None]
    transaction_id: NotRequired[str | None]
    kind: NotRequired[Literal["purchase", "refund", "payment_failed", "void"] | None]
    quantity: NotRequired[float | None]
    category: NotRequired[str | None]
    discount: NotRequired[float | None]
    margin: NotRequired[float | None]
    channel: NotRequired[str | None]
    method: NotRequired[str | None]


class Interactions(TypedDict):
    """Visits, logins, usage, messages sent and opened, calls, cancel pages."""

    occurred_at: str
    kind: str
    recorded_at: NotRequired[str | None]
    channel: NotRequired[str | None]
    quantity: NotRequired[float | None]


class Feedback(TypedDict):
    """Surveys (from the sending on), reviews, complaints."""

    occurred_at: str
    kind: Literal["csat", "nps", "review", "complaint"]
    score: NotRequired[float | None]
    answered_at: NotRequired[str | None]
    resolved_at: NotRequired[str | None]
    topic: NotRequired[str | None]
    item: NotRequired[str | None]
    recorded_at: NotRequired[str | None]


class Contracts(TypedDict):
    """Paid terms; a later recorded row of the same customer, start and plan is a version."""

    starts_at: str
    ends_at: NotRequired[str | None]
    cancelled_at: NotRequired[str | None]
    plan: NotRequired[str | None]
    price: NotRequired[float | None]
    auto_renew: NotRequired[bool | None]
    recorded_at: NotRequired[str | None]


class Customers(TypedDict):
    """One row per customer, or one row per version of a customer (with valid_from)."""

    valid_from: NotRequired[str | None]
    acquired_at: NotRequired[str | None]
    channel: NotRequired[str | None]
    segment: NotRequired[str | None]
    region: NotRequired[str | None]
    consent: NotRequired[bool | None]
    acquisition_cost: NotRequired[float | None]
    attributes: NotRequired[dict[str, bool | float | str]]


class Treatments(TypedDict):
    """What a campaign did to a customer, or decided not to do."""

    occurred_at: str
    campaign: str
    recorded_at: NotRequired[str | None]
    arm: NotRequired[Literal["treated", "held_out"] | None]
    action: NotRequired[str | None]
    cost: NotRequired[float | None]


class Explanation(TypedDict):
    """Explanation of the service."""

    release_id: str
    as_of: str
    score: Entry
    reasons: list[Reason]
    reasons_against: list[Reason]
    curve: list[ExplanationCurve]
    expected_next_days: float | None
    events: list[ExplanationEvent]
    events_total: int


class Reason(TypedDict):
    """Reason of the service."""

    sentence: str
    direction: Literal["raises", "lowers"]
    family: str
    column: str
    unit: str
    value: float
    usual: float | None
    log_odds: float


class ExplanationCurve(TypedDict):
    """ExplanationCurve of the service."""

    column: str
    days: int
    p: float | None


class ExplanationEvent(TypedDict):
    """ExplanationEvent of the service."""

    table: Literal[
        "transactions", "interactions", "feedback", "contracts", "customers", "treatments"
    ]
    at: str
    row: dict[str, Any]


class ServiceError(Exception):
    """A refusal: its HTTP status, what the service says, and seconds until it may be tried again.

    `refusal` has where, rule and do, and errors where entries have some; empty where another
    program answered.
    """

    def __init__(self, status: int, refusal: dict[str, Any], retry_after: int | None) -> None:
        super().__init__(f"{status} {refusal.get('where', '')}: {refusal.get('rule', '')}")
        self.status, self.refusal, self.retry_after = status, refusal, retry_after


class Client:
    """The service at `address`, asked with a key. Errors: ServiceError; OSError without answer."""

    def __init__(self, address: str, key: str, *, timeout: float = 60) -> None:
        self._address, self._key, self._timeout = address.rstrip("/"), key, timeout

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _service_error(error) from None

    def score(self, request: ScoreRequest) -> Answer:
        """Score up to 1,000 customers."""
        return cast("Answer", self._ask("/v1/score", request))

    def explain(self, request: ScoreRequest) -> Explanation:
        """Every reason of one customer, the curve and the newest events."""
        return cast("Explanation", self._ask("/v1/explain", request))

    def customer(self, customer_id: str) -> Answer:
        """One customer."""
        return cast("Answer", self._ask(f"/v1/customers/{_quoted(customer_id)}"))

    def model(self) -> dict[str, Any]:
        """What is served."""
        return cast("dict[str, Any]", self._ask("/v1/model"))


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _service_error(error: urllib.error.HTTPError) -> ServiceError:
    try:
        refusal = json.load(error)
    except ValueError:
        refusal = {}
    seconds = error.headers.get("Retry-After", "")
    retry_after = int(seconds) if seconds.isdigit() else None
    return ServiceError(error.code, refusal if isinstance(refusal, dict) else {}, retry_after)
