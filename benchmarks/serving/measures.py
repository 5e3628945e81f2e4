"""What is measured: blocks of asking in turn (A B, then B A, …), so that what a shared machine does hits both alike.

A ratio is the median over rounds of one round's two blocks; a time or a rate is the median over rounds.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import pyarrow as pa
from pyarrow import csv

from benchmarks.serving import hosts
from benchmarks.serving.business import Business, by_id
from benchmarks.serving.client import Block, ask, once, request
from benchmarks.serving.echo import FILE
from features.core.progress import steps
from serving.api.answers import COLUMNS
from training.tracking.registered_model import inputs, outputs

OURS, SCORER, MLFLOW, RAW = (
    "lifecycle serve",
    "the Scorer",
    "mlflow models serve",
    "one of 200 customers",
)
ECHOES = {"echo, as it comes": "echo:Echo", "echo, at its leanest": "endpoints:LeanEcho"}
CONNECTIONS = (1, 4)
MODEL = "next_stage"  # its answer needs the whole of Scorer.score, as ours does
FIRST = 500  # the ready rows' place among the run's


@dataclass(frozen=True)
class Asked:
    """Ready requests to one port."""

    port: int
    requests: Sequence[bytes]


@dataclass(frozen=True)
class Side:
    """One service's blocks, one a round."""

    blocks: tuple[Block, ...]

    @property
    def per_second(self) -> float:
        return median(block.per_second for block in self.blocks)

    def ms(self, percent: float) -> float:
        return median(block.at(percent) for block in self.blocks)

    def throughput_over(self, other: Side) -> float:
        return median(
            a.per_second / b.per_second for a, b in zip(self.blocks, other.blocks, strict=True)
        )

    def ms_over(self, other: Side, percent: float) -> float:
        return median(
            a.at(percent) / b.at(percent) for a, b in zip(self.blocks, other.blocks, strict=True)
        )


def in_turn(
    asked: Mapping[str, Asked],
    *,
    rounds: int,
    seconds: float,
    connections: int = 1,
    label: str = "",
) -> dict[str, Side]:
    """Every service once a round, the order turned round each time, after a warm-up."""
    for one in asked.values():
        ask(one.port, one.requests, seconds=0.5, connections=connections)
    blocks: dict[str, list[Block]] = {name: [] for name in asked}
    for number in steps(range(rounds), label=label, total=rounds):
        for name in list(asked)[:: 1 if number % 2 else -1]:
            one = asked[name]
            blocks[name].append(
                ask(one.port, one.requests, seconds=seconds, connections=connections)
            )
    return {name: Side(tuple(found)) for name, found in blocks.items()}


def score_request(port: int, body: bytes) -> bytes:
    return request("/v1/score", body, port=port, key=hosts.KEY)


def write_echo(business: Business, ours: int) -> int:
    """Give the echoes one of our answers to say, as long in BentoML's spelling (with spaces) as in ours; its bytes."""
    body = once(ours, score_request(ours, by_id(business.ids[:1])))
    answer = json.loads(body)
    entry = answer["scores"][0]
    entry["reason_1"] = entry["reason_1"][len(json.dumps(answer)) - len(body) :]
    (business.home / FILE).write_text(json.dumps(answer))
    return len(body)


def echoed(
    business: Business, ours: int, *, rounds: int, seconds: float
) -> dict[int, dict[str, Side]]:
    """By id, one customer a request: our service beside both echoes, by number of connections."""
    asked = [by_id([one]) for one in business.ids[:200]]
    with contextlib.ExitStack() as open_hosts:
        asks = {OURS: Asked(ours, [score_request(ours, body) for body in asked])}
        for name, service in ECHOES.items():
            port = open_hosts.enter_context(hosts.bento(business.home, service)).port
            asks[name] = Asked(
                port, [request("/score", body, port=port, key=hosts.KEY) for body in asked]
            )
        return {
            k: in_turn(
                asks, rounds=rounds, seconds=seconds, connections=k, label=f"echo, {k} connections"
            )
            for k in CONNECTIONS
        }


def hundred(business: Business, ours: int, *, rounds: int, seconds: float) -> dict[int, Side]:
    """A hundred customers a request by id, by number of connections."""
    asked = Asked(
        ours,
        [score_request(ours, by_id(business.ids[at : at + 100])) for at in range(0, 2000, 100)],
    )
    return {
        k: in_turn({OURS: asked}, rounds=rounds, seconds=seconds, connections=k, label="100 ids")[
            OURS
        ]
        for k in CONNECTIONS
    }


def mlflow_served(
    business: Business, *, rounds: int, seconds: float
) -> dict[int, tuple[str, dict[str, Side]]]:
    """Ready rows: by rows a request, the form MLflow answers fastest, and both sides."""
    columns = [name for name, _ in inputs(business.features, MODEL, contractual=False)]
    found = {}
    with (
        hosts.bento(business.home, "endpoints:Ready") as scorer,
        hosts.mlflow(business.home, MODEL) as theirs,
    ):
        for size in (1, 100):
            rows = business.rows.slice(FIRST, size)
            forms = {
                name: Asked(
                    theirs.port, [request("/invocations", body, port=theirs.port, kind=kind)]
                )
                for name, (kind, body) in _forms(rows.select(columns)).items()
            }
            tried = in_turn(forms, rounds=2, seconds=seconds / 2, label="MLflow's forms")
            best = max(tried, key=lambda name: tried[name].per_second)
            _, body = _forms(rows.select(columns))["inputs"]
            asked = {
                SCORER: Asked(scorer.port, [request("/score", body, port=scorer.port)]),
                MLFLOW: forms[best],
            }
            check_bits(business, rows["customer_id"].to_pylist(), asked)
            found[size] = (
                best,
                in_turn(asked, rounds=rounds, seconds=seconds, label=f"ready rows: {size}"),
            )
    return found


def _forms(rows: pa.Table) -> dict[str, tuple[str, bytes]]:
    """The same rows in the forms `mlflow models serve` reads: media type and body by name."""
    records, lines = rows.to_pylist(), io.BytesIO()
    csv.write_csv(rows, lines)
    split = {"columns": rows.column_names, "data": [list(record.values()) for record in records]}
    bodies = {"dataframe_split": split, "dataframe_records": records, "inputs": rows.to_pydict()}
    forms = {
        name: ("application/json", json.dumps({name: value}).encode())
        for name, value in bodies.items()
    }
    return {**forms, "csv": ("text/csv", lines.getvalue())}


def check_bits(business: Business, ids: list[str], asked: Mapping[str, Asked]) -> None:
    """Both sides answer the batch run's numbers, to the last bit; otherwise nothing is compared."""
    ours, theirs = (
        json.loads(once(asked[name].port, asked[name].requests[0])) for name in (SCORER, MLFLOW)
    )
    names = [name for name, _ in outputs(MODEL)]
    of = {row["customer_id"]: row for row in business.scores.to_pylist()}
    wanted = [[of[one][name] for name in names] for one in ids]
    assert ours["p_churn"] == [of[one]["p_churn"] for one in ids], (
        "p_churn of ready rows is not the batch run's"
    )
    assert ours["p_next"] == wanted, "p_next of ready rows is not the batch run's"
    assert [[row[name] for name in names] for row in theirs["predictions"]] == wanted, (
        "MLflow answers otherwise"
    )


def raw_events(business: Business, ours: int, *, rounds: int) -> dict[str, Side]:
    """Raw events: 200 customers one by one, the middle 20 of them by number of events, and 100 in a request."""
    customers = business.ids[:200]
    by_size = sorted(customers, key=business.size)
    check_entries(business, ours, by_size[::10])
    groups = {
        RAW: [[one] for one in customers],
        "one of the middle 20": [[one] for one in by_size[90:110]],
        "100 customers a request": [business.ids[at : at + 100] for at in range(0, 500, 100)],
    }
    bodies = {
        name: [score_request(ours, business.by_events(ones)) for ones in group]
        for name, group in groups.items()
    }
    blocks: dict[str, list[Block]] = {name: [] for name in bodies}
    for _ in steps(range(rounds), label="raw events", total=rounds):
        for name, requests in bodies.items():
            blocks[name].append(ask(ours, requests))
    return {name: Side(tuple(found)) for name, found in blocks.items()}


def check_entries(business: Business, ours: int, customers: list[str]) -> None:
    """By raw events and by id the same entries; otherwise nothing is timed. Warms both ways up."""

    def entries(body: bytes) -> list[dict]:
        return [
            {name: entry[name] for name in COLUMNS}
            for entry in json.loads(once(ours, score_request(ours, body)))["scores"]
        ]

    assert entries(by_id(customers)) == entries(business.by_events(customers)), (
        "raw events answer otherwise than the run"
    )


def ready(business: Business, *, rounds: int) -> dict[str, float]:
    """Seconds until /readyz answers 200, with the store at hand and with a tracking server that never answers."""
    found: dict[str, list[float]] = {"store at hand": [], "tracking server silent": []}
    with hosts.silent_server() as silent:
        for _ in steps(range(rounds), label="ready", total=rounds):
            for name, tracking in (("store at hand", None), ("tracking server silent", silent)):
                with hosts.lifecycle(business.home, tracking=tracking) as host:
                    found[name].append(host.ready_s)
    return {name: median(seconds) for name, seconds in found.items()}
