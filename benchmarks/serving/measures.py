"""The measurements: blocks of requests that alternate (A B, then B A, …).

So other load on a shared machine affects both services alike. A ratio is the median over rounds of
the ratio of one round's two blocks; a time or a rate is the median over rounds.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import pyarrow as pa

from benchmarks.serving import hosts
from benchmarks.serving.business import Business, by_id
from benchmarks.serving.client import Block, ask, once, request
from benchmarks.serving.echo import FILE
from features.core.progress import track_steps
from serving.api.answers import COLUMNS
from serving.release.model_columns import input_columns, output_columns

OURS, SCORER, MLFLOW, RAW = (
    "lifecycle serve",
    "the Scorer",
    "mlflow models serve",
    "one of 200 customers",
)
ECHOES = {"echo, as it comes": "echo:Echo", "echo, at its leanest": "endpoints:LeanEcho"}
CONNECTIONS = (1, 4)
MODEL = "next_stage"  # its answer needs all of Scorer.score, as ours does
FIRST = 500  # the first ready row among the rows of the run


@dataclass(frozen=True)
class Target:
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


def run_alternately(
    targets: Mapping[str, Target],
    *,
    rounds: int,
    seconds: float,
    connections: int = 1,
    label: str = "",
) -> dict[str, Side]:
    """After a warm-up, a block of each service in every round; the order alternates."""
    for one in targets.values():
        ask(one.port, one.requests, seconds=0.5, connections=connections)
    blocks: dict[str, list[Block]] = {name: [] for name in targets}
    for number in track_steps(range(rounds), label=label, total=rounds):
        for name in list(targets)[:: 1 if number % 2 else -1]:
            one = targets[name]
            blocks[name].append(
                ask(one.port, one.requests, seconds=seconds, connections=connections)
            )
    return {name: Side(tuple(results)) for name, results in blocks.items()}


def score_request(port: int, body: bytes) -> bytes:
    return request("/v1/score", body, port=port, key=hosts.KEY)


def write_echo(business: Business, ours: int) -> int:
    """Write one of our answers for the echoes; returns its bytes.

    It is as long in BentoML's JSON (with spaces) as in ours.
    """
    body = once(ours, score_request(ours, by_id(business.ids[:1])))
    answer = json.loads(body)
    entry = answer["scores"][0]
    entry["reason_1"] = entry["reason_1"][len(json.dumps(answer)) - len(body) :]
    (business.home / FILE).write_text(json.dumps(answer))
    return len(body)


def measure_echoes(
    business: Business, ours: int, *, rounds: int, seconds: float
) -> dict[int, dict[str, Side]]:
    """By id, one customer a request: our service and both echoes, by number of connections."""
    bodies = [by_id([one]) for one in business.ids[:200]]
    with contextlib.ExitStack() as open_hosts:
        targets_by_service = {OURS: Target(ours, [score_request(ours, body) for body in bodies])}
        for name, service in ECHOES.items():
            port = open_hosts.enter_context(hosts.bento(business.home, service)).port
            targets_by_service[name] = Target(
                port, [request("/score", body, port=port, key=hosts.KEY) for body in bodies]
            )
        return {
            k: run_alternately(
                targets_by_service,
                rounds=rounds,
                seconds=seconds,
                connections=k,
                label=f"echo, {k} connections",
            )
            for k in CONNECTIONS
        }


def measure_hundred(
    business: Business, ours: int, *, rounds: int, seconds: float
) -> dict[int, Side]:
    """A hundred customers a request by id, by number of connections."""
    target = Target(
        ours,
        [score_request(ours, by_id(business.ids[at : at + 100])) for at in business.hundreds[:20]],
    )
    return {
        k: run_alternately(
            {OURS: target}, rounds=rounds, seconds=seconds, connections=k, label="100 ids"
        )[OURS]
        for k in CONNECTIONS
    }


def measure_mlflow(
    business: Business, *, rounds: int, seconds: float
) -> dict[int, tuple[str, dict[str, Side]]]:
    """By rows a request: the form that MLflow answers fastest, and both sides."""
    columns = [name for name, _ in input_columns(business.features, MODEL, contractual=False)]
    results = {}
    with (
        hosts.bento(business.home, "endpoints:Ready") as scorer,
        hosts.mlflow(business.home, MODEL) as theirs,
    ):
        for size in (1, 100):
            rows = business.rows.slice(min(FIRST, business.rows.num_rows - size), size)
            forms = {
                name: Target(
                    theirs.port, [request("/invocations", body, port=theirs.port, kind=kind)]
                )
                for name, (kind, body) in _forms(rows.select(columns)).items()
            }
            trials = run_alternately(forms, rounds=2, seconds=seconds / 2, label="MLflow's forms")
            best = max(trials, key=lambda name: trials[name].per_second)
            _, body = _forms(rows.select(columns))["inputs"]
            targets = {
                SCORER: Target(scorer.port, [request("/score", body, port=scorer.port)]),
                MLFLOW: forms[best],
            }
            check_bits(business, rows["customer_id"].to_pylist(), targets)
            results[size] = (
                best,
                run_alternately(
                    targets, rounds=rounds, seconds=seconds, label=f"ready rows: {size}"
                ),
            )
    return results


def _forms(rows: pa.Table) -> dict[str, tuple[str, bytes]]:
    """The same rows in the forms `mlflow models serve` reads: media type and body by name.

    Not as CSV: MLflow refuses it for inputs that may be of any type, as the instants are.
    """
    records = rows.to_pylist()
    split = {"columns": rows.column_names, "data": [list(record.values()) for record in records]}
    bodies = {"dataframe_split": split, "dataframe_records": records, "inputs": rows.to_pydict()}
    return {
        name: ("application/json", json.dumps({name: value}).encode())
        for name, value in bodies.items()
    }


def check_bits(business: Business, ids: list[str], targets: Mapping[str, Target]) -> None:
    """AssertionError unless both sides answer the numbers of the batch run to the last bit."""
    ours, theirs = (
        json.loads(once(targets[name].port, targets[name].requests[0])) for name in (SCORER, MLFLOW)
    )
    names = [name for name, _ in output_columns(MODEL)]
    of = {row["customer_id"]: row for row in business.scores.to_pylist()}
    wanted = [[of[one][name] for name in names] for one in ids]
    assert ours["p_churn"] == [of[one]["p_churn"] for one in ids], (
        "p_churn of ready rows differs from the batch run"
    )
    assert ours["p_next"] == wanted, "p_next of ready rows differs from the batch run"
    assert [[row[name] for name in names] for row in theirs["predictions"]] == wanted, (
        "the answer of MLflow differs from the batch run"
    )


def measure_raw_events(business: Business, ours: int, *, rounds: int) -> dict[str, Side]:
    """Raw events: 200 customers singly, the middle 20 by number of events, and 100 a request."""
    customers = business.ids[:200]
    by_size = sorted(customers, key=business.size)
    check_entries(business, ours, by_size[::10])
    groups = {
        RAW: [[one] for one in customers],
        "one of the middle 20": [[one] for one in by_size[90:110]],
        "100 customers a request": [business.ids[at : at + 100] for at in business.hundreds[:5]],
    }
    bodies = {
        name: [score_request(ours, business.by_events(ones)) for ones in group]
        for name, group in groups.items()
    }
    blocks: dict[str, list[Block]] = {name: [] for name in bodies}
    for _ in track_steps(range(rounds), label="raw events", total=rounds):
        for name, requests in bodies.items():
            blocks[name].append(ask(ours, requests))
    return {name: Side(tuple(results)) for name, results in blocks.items()}


def check_entries(business: Business, ours: int, customers: list[str]) -> None:
    """AssertionError unless raw events and ids give equal entries. Warms up both paths."""

    def entries(body: bytes) -> list[dict]:
        return [
            {name: entry[name] for name in COLUMNS}
            for entry in json.loads(once(ours, score_request(ours, body)))["scores"]
        ]

    assert entries(by_id(customers)) == entries(business.by_events(customers)), (
        "the answer to raw events differs from the run"
    )


def measure_ready(business: Business, *, rounds: int) -> dict[str, float]:
    """Seconds until /readyz answers 200, with a store and with a silent tracking server."""
    results: dict[str, list[float]] = {"store at hand": [], "tracking server silent": []}
    with hosts.silent_server() as silent:
        for _ in track_steps(range(rounds), label="ready", total=rounds):
            for name, tracking in (("store at hand", None), ("tracking server silent", silent)):
                with hosts.lifecycle(business.home, tracking=tracking) as host:
                    results[name].append(host.ready_s)
    return {name: median(seconds) for name, seconds in results.items()}
