"""The API reference as a page."""

from __future__ import annotations

import html
import json
from typing import Any

from markupsafe import Markup

from features.core.contract import ALL_TABLES, Column
from features.core.language import ENGLISH
from serving.api.answers import COLUMNS
from serving.api.entry_errors import MOST_COUNTED, MOST_LISTED, MOST_OF_ENTRY
from serving.api.event_rows import NEWEST
from serving.api.page_frame import render_page
from serving.api.schemas import MAX_CUSTOMERS, REQUEST_TABLES

_TYPE_NAMES = {
    "id": "text",
    "text": "text",
    "instant": "instant",
    "money": "number",
    "number": "number",
    "flag": "true or false",
}
_DESCRIPTIONS = {
    "customer_id": "the id as it was sent",
    "horizon_days": "days from as_of that p_churn and p_next refer to",
    "eligible": "whether the customer counts in the headline figures",
    "stage": "the customer's current stage, by rule",
    "stage_rule": "the name of the rule that decided the stage",
    "p_churn": "probability of leaving within the horizon",
    "stage_if_inactive": "the stage at the horizon's end without any activity",
    "p_churn_low": "interval of the share that leaves among customers with this evidence and a "
    "similar score (aimed at nine of ten such groups): from",
    "p_churn_high": "to; not an interval for one customer, who leaves or stays",
    "evidence": "how much is known of the customer's own rhythm: none, little, some, good",
    "next_stages": "list of stages that should contain the next stage nine times of ten; null "
    "where this was not measured",
    "warnings": "list of what to know about this entry",
}


def reference_page(address: str, example: dict[str, Any]) -> bytes:
    """The API reference, from the contract and schemas that requests are checked with.

    `address`: where the caller reached the service. `example`: a body with raw events that the
    release accepts.
    """
    columns = "".join(
        f"<tr><td><code>{name}</code></td><td>{_describe(name)}</td></tr>" for name in COLUMNS
    )
    tables = "".join(_table_section(name) for name in REQUEST_TABLES)
    body = (
        _score_section(html.escape(address), html.escape(json.dumps(example), quote=False))
        + _answer_section(columns)
        + f"<h2>Raw events</h2>{tables}"
        + _END_SECTION
    )
    return render_page("reference", ENGLISH, body=Markup(body))


def _score_section(address: str, example: str) -> str:
    return f"""<h1>Customer lifecycle: API</h1>
<p>Every page needs the header <code>Authorization: Bearer KEY</code>, except the probes
<code>/livez</code>, <code>/readyz</code> and <code>/healthz</code>.
<a href="/openapi.json">openapi.json</a> · <a href="/v1/model">the model that is served</a> ·
<a href="/metrics">metrics</a></p>
<h2>POST /v1/score</h2>
<p>For Python there is a typed client of one file, <code>lifecycle/client.py</code>.</p>
<p>Up to {MAX_CUSTOMERS:,} customers, one entry each in the order of the request. By id, from the
latest nightly run:</p>
<pre>curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{{"customer_ids": ["00042", "00043"]}}' {address}/v1/score</pre>
<p>Or by raw events, as of now or of a given instant; send all that is known of each customer:</p>
<pre>curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{example}' \\
  {address}/v1/score</pre>
<p>A table that is left out was not sent; <code>[]</code> says that nothing happened. A customer
without some of the tables is scored by a model that knows nothing of them, with the warning
<code>without:</code> and their names. Without the table that shows activity, or without contracts
where the release has learned from them, the request is refused.</p>
<p>With <code>"history": "run"</code> the events are those since the latest run, and are added to
what that run knew of the customer (its <code>history/</code>, whose files have the hashes of the
run's manifest). <code>as_of</code> lies between the run's and max_staleness_days later; a row is
recorded at or after the run's <code>as_of</code>, or is one that the run knows (then it counts as
duplicates do, or brings what became known of it since: an answer, a resolution, a cancellation).
A table that is left out is as fresh as the run, with the warning <code>as_of_run:</code> and its
name; the answer has <code>history_as_of</code>. A customer whom the run does not know is refused,
and so are releases whose terms are built from payments.</p>
<p>JSON in UTF-8, no query string, numbers up to 10<sup>12</sup>; a body arrives within 30 seconds.
Instants are RFC 3339 with an offset, and none lies at or after <code>as_of</code> (except a term's
ends). A request that breaks a rule is refused as a whole: 422, with the path of the first such
field, <code>errors</code>, a list of paths and rules (at most {MOST_LISTED}), and
<code>error_count</code> (beyond {MOST_COUNTED:,} no more are looked for). With
<code>"errors": "each"</code> the others are scored: an entry that breaks a rule stands at its place
with <code>"error": "refused"</code>, its <code>errors</code> (at most {MOST_OF_ENTRY}) and
<code>error_count</code>.
<code>as_of</code> is not before <code>earliest_as_of</code> of <a href="/v1/model">the model</a>,
which has learned what came before; with <code>in_sample: true</code> it is answered, and every
entry has the warning <code>in_sample</code>. Without <code>as_of</code> the population statistics
are at most max_staleness_days old: score every night.</p>
"""


_END_SECTION = f"""
<h2>POST /v1/explain</h2>
<p>The body of <code>/v1/score</code> with one customer, by id or by raw events. The answer:
<code>score</code>, the entry that <code>/v1/score</code> gives; <code>reasons</code>, all of them,
strongest first (the first three are <code>reason_1</code> … of the entry), each with its
<code>sentence</code>, <code>family</code>, <code>column</code>, <code>value</code>,
<code>usual</code> (the median of customers of the same stage, null where it is not known) and
<code>log_odds</code>, what it moves; <code>reasons_against</code>, what speaks for the other
direction; <code>curve</code>, the points that have an answer; <code>events</code>, the newest
{NEWEST} rows that were known before <code>as_of</code>, as a request has them, and
<code>events_total</code>, how many there are. By id the events are those of the run's
<code>history/</code>, and the row that was scored is scored again: 503 where the run is of another
release, or where it gives another score.</p>
<h2>GET /v1/customers/{{id}}</h2>
<p>One customer's entry and feature values; 404 for an unknown id.</p>
<h2>GET /v1/model</h2>
<p>Release, horizon, what it was trained on, how good it is, the age of the run and of the
population statistics.</p>
<h2>Errors</h2><p><code>{{"error": …, "where": …, "rule": …, "do": …}}</code>: 401 no key, or one
that is not accepted · 403 a form of another site · 404 unknown page or customer · 405 method ·
413 over 32 MiB · 415 not JSON · 422 a field that breaks its rule · 429 too much at once (raw events
that would wait longer than five seconds, many logins), with <code>Retry-After</code> in seconds ·
503 nothing to answer from yet.
What was sent is never repeated.</p>"""


def _answer_section(columns: str) -> str:
    return f"""<h3>The answer</h3>
<p><code>{{"release_id": …, "as_of": …, "scores": [ … ]}}</code>, each entry:</p>
<table>{columns}<tr><td><code>error</code></td>
<td>null; <code>unknown_customer</code>, <code>no_consent</code>, <code>prospect</code> (no
activity yet) or <code>refused</code>: then there is no score</td></tr></table>
<p><code>decision</code> is what a campaign of <code>lifecycle decide</code> decided for the
customer, from the instant of its scores until its horizon has passed; null where nothing was
decided: <code>campaign</code>, <code>decided_at</code>, <code>action</code>, <code>channel</code>,
<code>expected_profit</code>, <code>hold_out</code>. With <code>hold_out: true</code> nobody
contacts the customer, and action, channel and profit are null. Null too for who does not consent to
lists, where the business says who does.</p>
<p>After <code>next_stages</code> come the columns of the curve:
<code>p_active_&lt;h&gt;d</code>, the probability of activity within h days (with contracts
<code>p_lost_&lt;h&gt;d</code>, that cover is lost within h days), <code>p_return_&lt;h&gt;d</code>
for customers who are gone, and <code>expected_next_days</code>, the day until which that is as
probable as not; with contracts <code>p_cancelled</code>, the part of <code>p_churn</code> that is
said in a cancellation (the rest lapses or fails to pay). Null where the history is too short to
know (<code>curve_ends_at:</code> in the warnings).</p>
<p>Then come <code>clv</code>, the money expected within the days of <code>[value]</code>,
discounted, with its interval <code>clv_low</code> … <code>clv_high</code>, and
<code>clv_if_stays</code>, the same given that the customer stays: what keeping them is worth.
Null where nothing is known of money (<code>clv_not_known</code> in the warnings); beyond what the
history has shown they say <code>clv_extrapolated:</code> and the days that it has shown, and
<code>clv_unseen_season</code> where it never saw a month that lies ahead.</p>
<p>For each target of the business <code>p_&lt;target&gt;</code> follows: the
probability that its label is 1 within the horizon; null for a
customer who is not in its population. The warnings say where it is a rate
(<code>p_&lt;target&gt;:no_skill</code>) or null for everybody (<code>:not_enough_data</code>,
<code>:leak_suspected</code>). Of an amount <code>&lt;target&gt;_expected</code> (the mean),
<code>&lt;target&gt;_q10</code>, <code>_q50</code> and <code>_q90</code> follow, in its own
unit.</p>
<p>The warnings also say how the entry was reached: <code>without:</code> and a table that is stale
or was not sent, <code>as_of_run:</code> and a table that is as fresh as the run,
<code>population_is_&lt;n&gt;_days_old</code>, <code>not_known_yet:</code> rows that count only
after <code>as_of</code>, <code>outside_training_range:&lt;n&gt;_columns</code> (features below or
above all training rows), <code>imputed:&lt;n&gt;_columns</code> (features that are null and that
nearly every eligible customer of the training had), <code>unseen_category:</code> and an attribute
of which no such level was learned. <a href="/metrics">Metrics</a> count them by kind,
<code>lifecycle_warnings_total</code>.</p>
<p>A customer with long gaps can be inactive for a whole horizon and still be on rhythm: a high
<code>p_churn</code> together with a healthy <code>stage_if_inactive</code> is correct.</p>
"""


def _describe(name: str) -> str:
    if name.startswith("p_next_"):
        stage = name.removeprefix("p_next_")
        return (
            f"probability of the stage <code>{stage}</code> at the horizon's end; "
            "the seven sum to 1"
        )
    return _DESCRIPTIONS.get(name, "what moves the score most, in words")


def _table_section(name: str) -> str:
    table = ALL_TABLES[name]
    rows = "".join(_column_row(each) for each in table.columns if each.name != "customer_id")
    meaning = f"<p class=soft>{html.escape(table.meaning)}</p>"
    return f"<h3><code>{name}</code></h3>{meaning}<table>{rows}</table>"


def _column_row(column: Column) -> str:
    optional = "" if column.required else " <span class=soft>optional</span>"
    # The contract is our own text, but quotes and brackets in it must not break the page.
    kinds = html.escape(", ".join(column.kinds))
    kinds = f" <span class=soft>({kinds})</span>" if kinds else ""
    return (
        f"<tr><td><code>{column.name}</code>{optional}</td><td>{_TYPE_NAMES[column.type]}</td>"
        f"<td>{html.escape(column.meaning)}{kinds}</td></tr>"
    )
