"""The OpenAPI schema of the pages that programs call, with the schemas of the checks."""

from __future__ import annotations

import functools
from typing import Any

from serving.api.answers import COLUMNS, REFUSED
from serving.api.event_rows import NEWEST
from serving.api.schemas import MAX_CUSTOMERS, REQUEST_TABLES, ScoreRequest
from serving.scoring.curve_columns import EXPECTED

# The other columns of the score table are single values.
_LISTS = ("next_stages", "warnings")
_TEXT = {"type": "string"}
_INSTANT = {"type": "string", "format": "date-time"}
_COUNT = {"type": "integer", "minimum": 0}
_ERRORS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"where": _TEXT, "rule": _TEXT},
        "required": ["where", "rule"],
    },
}


@functools.cache
def openapi() -> dict[str, Any]:
    """OpenAPI 3.1 of the pages that programs call, with the schemas of the checks."""
    request = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    texts = {key: {"type": "string"} for key in ("error", "where", "rule", "do")}
    listed = {"errors": _ERRORS, "error_count": _COUNT}
    refusal = {"type": "object", "required": list(texts), "properties": texts | listed}
    schemas = {
        **request.pop("$defs", {}),
        "ScoreRequest": request,
        "Entry": _entry_schema(),
        "Answer": _answer_schema(),
        "Reason": _reason_schema(),
        "Explanation": _explanation_schema(),
        "Refusal": refusal,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Customer lifecycle", "version": "1"},
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


_REFUSALS = {
    "401": "no key, or one that is not accepted",
    "405": "another method",
    "422": "a field that breaks its rule",
    "429": "too much of this kind of work at once",
    "503": "nothing to answer from yet",
}
_REFUSED_BODIES = {"413": "a body over the limit", "415": "a body that is not JSON"}


def _refusal(meaning: str) -> dict[str, Any]:
    content = _json_content("#/components/schemas/Refusal")
    return {"description": meaning, "content": content}


def _paths() -> dict[str, Any]:
    answer = _json_content("#/components/schemas/Answer")
    answers = {"200": {"description": "the answer", "content": answer}}
    refusals = {status: _refusal(meaning) for status, meaning in _REFUSALS.items()}
    refusals["429"]["headers"] = {
        "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
    }
    of_bodies = {status: _refusal(meaning) for status, meaning in _REFUSED_BODIES.items()}
    body = {"required": True, "content": _json_content("#/components/schemas/ScoreRequest")}
    id_parameter = {
        "name": "customer_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
    }
    score = {
        "summary": f"Score up to {MAX_CUSTOMERS:,} customers",
        "requestBody": body,
        "responses": answers | refusals | of_bodies,
    }
    explanation = _json_content("#/components/schemas/Explanation")
    explained = {"200": {"description": "the explanation", "content": explanation}}
    explain = {
        "summary": "Every reason of one customer, the curve and the newest events",
        "requestBody": body,
        "responses": explained | refusals | of_bodies | {"404": _refusal("unknown customer")},
    }
    customer = {
        "summary": "One customer",
        "parameters": [id_parameter],
        "responses": answers | refusals | {"404": _refusal("unknown customer")},
    }
    model = {
        "summary": "What is served",
        "responses": {"200": {"description": "the model"}} | refusals,
    }
    return {
        "/v1/score": {"post": score},
        "/v1/explain": {"post": explain},
        "/v1/customers/{customer_id}": {"get": customer},
        "/v1/model": {"get": model},
    }


def _json_content(reference: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": reference}}}


def _column_schema(name: str) -> dict[str, Any]:
    if name.startswith("p_"):
        return {"type": ["number", "null"], "minimum": 0, "maximum": 1}
    if name in _LISTS:
        return {"type": ["array", "null"], "items": {"type": "string"}}
    types = {"horizon_days": "integer", "eligible": "boolean"}
    return {"type": [types.get(name, "string"), "null"]}


def _decision_schema() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    decision = {
        "campaign": {"type": "string"},
        "decided_at": {"type": "string", "format": "date-time"},
        "action": text,
        "channel": text,
        "expected_profit": {"type": ["number", "null"]},
        "hold_out": {"type": "boolean"},
    }
    return {"type": ["object", "null"], "properties": decision, "required": list(decision)}


def _entry_schema() -> dict[str, Any]:
    entry = {name: _column_schema(name) for name in COLUMNS} | {
        "error": {"enum": [None, "unknown_customer", "prospect", "no_consent", REFUSED]},
        "decision": _decision_schema(),
    }
    return {
        "type": "object",
        "properties": entry | {"errors": _ERRORS, "error_count": _COUNT},
        "required": list(entry),
        # The curve, the value and the targets of the business.
        "patternProperties": {
            "^p_": _column_schema("p_"),
            "^(clv|expected_next_days)": {"type": ["number", "null"]},
            "_(expected|q10|q50|q90)$": {"type": ["number", "null"]},
        },
    }


def _answer_schema() -> dict[str, Any]:
    scores = {"type": "array", "items": _schema("Entry")}
    schema = _object(release_id=_TEXT, as_of=_INSTANT, scores=scores)
    # Of the run, where the request adds to its history.
    schema["properties"]["history_as_of"] = _INSTANT
    return schema


def _reason_schema() -> dict[str, Any]:
    return _object(
        sentence=_TEXT,
        direction={"enum": ["raises", "lowers"]},
        family=_TEXT,
        column=_TEXT,
        unit=_TEXT,
        value={"type": "number"},
        usual={"type": ["number", "null"]},
        log_odds={"type": "number"},
    )


def _explanation_schema() -> dict[str, Any]:
    reasons = {"type": "array", "items": _schema("Reason")}
    point = _object(column=_TEXT, days={"type": "integer"}, p=_column_schema("p_"))
    event = _object(table={"enum": list(REQUEST_TABLES)}, at=_INSTANT, row={"type": "object"})
    return _object(
        release_id=_TEXT,
        as_of=_INSTANT,
        score=_schema("Entry"),
        reasons=reasons,
        reasons_against=reasons,
        curve={"type": "array", "items": point},
        **{EXPECTED: {"type": ["number", "null"]}},
        events={"type": "array", "maxItems": NEWEST, "items": event},
        events_total=_COUNT,
    )


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    """An object that has all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}
