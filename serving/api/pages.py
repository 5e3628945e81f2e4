"""The service's own page: a login form, and behind it the reference. One file, nothing loaded from elsewhere, no script."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
from typing import Any

from features.core.contract import CONTRACT
from serving.api.answers import COLUMNS
from serving.api.schemas import MOST, SENT, ScoreRequest

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6875; --line: #d9dfe5; --paper: #fbfcfd; --mark: #2f6b9a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #33404d; --paper: #141a20; --mark: #7db4dc; }
}
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; font: 16px/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.15rem; border-bottom: 1px solid var(--line); }
h3 { margin-bottom: .3rem; font-size: 1rem; } p { max-width: 46rem; } a { color: var(--mark); }
code, pre { font: 13.5px/1.5 ui-monospace, monospace; } pre { padding: .8rem 1rem; overflow-x: auto; border: 1px solid var(--line); }
table { width: 100%; border-collapse: collapse; font-size: 14.5px; } th { color: var(--soft); font-weight: 600; text-align: left; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } .soft { color: var(--soft); }
form { display: grid; gap: .8rem; max-width: 24rem; } input, button { font: inherit; padding: .5rem .7rem; }
input { color: var(--ink); background: transparent; border: 1px solid var(--soft); }
button { color: var(--paper); background: var(--mark); border: 0; cursor: pointer; }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_KINDS = {
    "id": "text",
    "text": "text",
    "instant": "instant",
    "money": "number",
    "number": "number",
    "flag": "true or false",
}
_SAID = {
    "customer_id": "the id as it was asked",
    "horizon_days": "length of the future asked about",
    "eligible": "in the headline population",
    "stage": "where the customer stands, by rule",
    "stage_rule": "which rule",
    "p_churn": "probability of leaving within the horizon",
    "stage_if_inactive": "where the customer will stand if nothing happens",
    "p_churn_low": "where the share that leaves lies among customers of this evidence and score (aimed at nine of ten): from",
    "p_churn_high": "to; not an interval for one customer, who leaves or stays",
    "evidence": "what is known of the customer's own rhythm: none, little, some, good",
    "next_stages": "the stages, joined by |, among which the one that comes should be, nine times of ten; null where that is not known",
    "warnings": "what to mind about this entry",
}


def login(*, wrong: bool = False) -> bytes:
    """The form for the key, and nothing else."""
    note = (
        "<p role='alert'>This key does not open. The owner has it from <code>lifecycle serve</code>.</p>"
        if wrong
        else ""
    )
    return _page(
        "Customer lifecycle",
        f"""<h1>Customer lifecycle</h1>{note}
<form method="post" action="/login"><label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Open</button></form>""",
    )


@functools.cache
def reference() -> bytes:
    """The API reference, from the same contract and schemas that requests are checked with."""
    tables = "".join(_table(name) for name in SENT)
    said = "".join(
        f"<tr><td><code>{name}</code></td><td>{_said(name)}</td></tr>" for name in COLUMNS
    )
    return _page(
        "Customer lifecycle: API",
        f"""<h1>Customer lifecycle: API</h1>
<p>Every page needs the header <code>Authorization: Bearer KEY</code>, but for the probes <code>/livez</code>,
<code>/readyz</code> and <code>/healthz</code>. <a href="/openapi.json">openapi.json</a> ·
<a href="/v1/model">the model that is served</a> · <a href="/metrics">metrics</a> · <a href="/logout">log out</a></p>
<h2>POST /v1/score</h2>
<p>Up to {MOST:,} customers, one entry each in the asked order. By id, from the latest nightly run:</p>
<pre>curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{{"customer_ids": ["00042", "00043"]}}' http://localhost:3000/v1/score</pre>
<p>Or by raw events, as of now or of a stated instant; send all that is known of each customer:</p>
<pre>curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{{"as_of": "2024-10-01T00:00:00Z", "customers": [{{"customer_id": "00042",
       "transactions": [{{"occurred_at": "2024-09-03T10:15:00Z", "amount": 19.9}}]}}]}}' http://localhost:3000/v1/score</pre>
<p>JSON in UTF-8, no query string, numbers up to 10<sup>12</sup>; a body is sent within 30 seconds.
Instants are RFC 3339 with an offset, and none lies at or after <code>as_of</code> (but a term's ends). A request that
breaks a rule is refused whole: 422, with the path of the field.</p>
<h3>The answer</h3><p><code>{{"release_id": …, "as_of": …, "scores": [ … ]}}</code>, each entry:</p>
<table>{said}<tr><td><code>error</code></td><td>null; <code>unknown_customer</code> or <code>prospect</code> (no activity yet): then
there is no score</td></tr></table>
<p>A customer with a slow rhythm can be inactive for a whole horizon and still be on rhythm: a high <code>p_churn</code>
beside a healthy <code>stage_if_inactive</code> is right.</p>
<h2>Raw events</h2>{tables}
<h2>GET /v1/customers/{{id}}</h2><p>One customer's entry and feature values; 404 for an unknown id.</p>
<h2>GET /v1/model</h2><p>Release, horizon, what it was trained on, how good it is, how old the run and the base are.</p>
<h2>Errors</h2><p><code>{{"error": …, "where": …, "rule": …, "do": …}}</code>: 401 no key · 404 no such page or customer ·
405 method · 413 over 32 MiB · 415 not JSON · 422 a field outside its rule · 503 nothing to answer from yet.
What was sent is never repeated.</p>""",
    )


def _said(name: str) -> str:
    if name.startswith("p_next_"):
        return f"probability of standing at <code>{name[7:]}</code> at the horizon's end; the seven sum to 1"
    return _SAID.get(name, "what moves the score most, in words")


def _table(name: str) -> str:
    table = CONTRACT[name]
    rows = "".join(
        f"<tr><td><code>{column.name}</code>{'' if column.required else ' <span class=soft>optional</span>'}</td>"
        f"<td>{_KINDS[column.type]}</td><td>{html.escape(column.meaning)}{_of(column.kinds)}</td></tr>"
        for column in table.columns
        if column.name != "customer_id"
    )
    return f"<h3><code>{name}</code></h3><p class=soft>{html.escape(table.meaning)}</p><table>{rows}</table>"


def _of(kinds: tuple[str, ...]) -> str:
    return f" <span class=soft>({html.escape(', '.join(kinds))})</span>" if kinds else ""


def _page(title: str, body: str) -> bytes:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()


@functools.cache
def openapi() -> dict[str, Any]:
    """OpenAPI 3.1 of the three pages a program calls, its schemas those that requests are checked with."""
    request = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = {**request.pop("$defs", {}), "ScoreRequest": request, "Answer": _answer_schema()}
    answers = {
        "200": {"description": "the answer", "content": _content("#/components/schemas/Answer")}
    }
    refusals = {
        code: {"description": why}
        for code, why in (("401", "no key"), ("422", "a field outside its rule"))
    }
    one = {"name": "customer_id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Customer lifecycle", "version": "1"},
        "security": [{"key": []}],
        "paths": {
            "/v1/score": {
                "post": {
                    "summary": "Score up to 1,000 customers",
                    "requestBody": {
                        "required": True,
                        "content": _content("#/components/schemas/ScoreRequest"),
                    },
                    "responses": answers | refusals,
                }
            },
            "/v1/customers/{customer_id}": {
                "get": {
                    "summary": "One customer",
                    "parameters": [one],
                    "responses": answers | refusals | {"404": {"description": "unknown"}},
                }
            },
            "/v1/model": {
                "get": {
                    "summary": "What is served",
                    "responses": {"200": {"description": "the model"}} | refusals,
                }
            },
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _content(reference: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": reference}}}


def _answer_schema() -> dict[str, Any]:
    def kind(name: str) -> dict[str, Any]:
        if name.startswith("p_"):
            return {"type": ["number", "null"], "minimum": 0, "maximum": 1}
        kinds = {
            "horizon_days": "integer",
            "stage_rule": "integer",
            "eligible": "boolean",
            "warnings": "array",
        }
        return {"type": [kinds.get(name, "string"), "null"]}

    entry = {name: kind(name) for name in COLUMNS} | {
        "error": {"enum": [None, "unknown_customer", "prospect"]}
    }
    return {
        "type": "object",
        "required": ["release_id", "as_of", "scores"],
        "properties": {
            "release_id": {"type": "string"},
            "as_of": {"type": "string", "format": "date-time"},
            "scores": {
                "type": "array",
                "items": {"type": "object", "properties": entry, "required": list(entry)},
            },
        },
    }
