"""The simulated business on disk, as `lifecycle` reads it: CSV files, lifecycle.toml, the truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pyarrow import csv, parquet

from lifecycle.simulation.actions import ACTIONS
from lifecycle.simulation.world import Simulation

_LIFECYCLE = """\
[business]
name = "{name}"  # the name in reports
archetype = "{archetype}"  # contractual: paid terms; non-contractual: single purchases
zone = "UTC"  # the zone of times that are written without one
currency = "EUR"  # the currency of every amount

[files]  # each file becomes a view of this name; every column is text
{files}

[tables]  # one SELECT for each table of docs/contract.md
{tables}

[activity]  # the events that make a customer active
table = "{activity}"  # the table of these events
kinds = ["{kind}"]  # the kinds of these events

[churn]
horizon_days = {horizon_days}  # the days in which a customer may leave
label_latency_days = {latency}  # days until the last events of a window are recorded
grace_days = {grace}  # a renewal may be this many days late

[contract]
data_until = "{until}"  # the day after the last day in the files
constant_attributes = ["channel", "region", "segment"]  # these never change

[training]
{evaluate}  # dates that are kept for evaluation; their true outcomes are known
trials = 1  # how many settings are tried; more take longer and help little here
max_dates = 9  # the number of dates to learn from
"""


def write(simulation: Simulation, *, folder: Path) -> None:
    """Write `data/*.csv` and `lifecycle.toml`, and the truth as `truth/truth.parquet`.

    OSError where the folder cannot be written.
    """
    # No value holds a comma or a quote, so nothing is quoted, and an empty cell is a null.
    options = csv.WriteOptions(quoting_style="none", quoting_header="none")
    for name in ("data", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, table in simulation.tables.items():
        csv.write_csv(table, folder / "data" / f"{name}.csv", options)
    parquet.write_table(simulation.truth, folder / "truth" / "truth.parquet")
    (folder / "lifecycle.toml").write_text(_lifecycle(simulation), encoding="utf-8")


def _evaluate(simulation: Simulation, *, latency: int) -> str:
    """The newest date of the truth whose outcomes are complete, or none in short data."""
    last = simulation.start + timedelta(days=simulation.days - simulation.horizon_days - latency)
    days = [day for day in set(simulation.truth["as_of"].to_pylist()) if day <= last]
    return f"evaluate = [{max(days)}]" if days else "evaluate = []"


def _lifecycle(simulation: Simulation) -> str:
    retail = simulation.mode == "retail"
    text = _LIFECYCLE.format(
        name="Demo shop" if retail else "Demo subscription",
        archetype="non-contractual" if retail else "contractual",
        files="\n".join(f'{name} = "data/{name}.csv"' for name in simulation.tables),
        tables="\n".join(f'{name} = "SELECT * FROM {name}"' for name in simulation.tables),
        activity="transactions" if retail else "interactions",
        kind="purchase" if retail else "usage",
        horizon_days=simulation.horizon_days,
        latency=3 if retail else 10,
        grace=0 if retail else 7,
        until=simulation.start + timedelta(days=simulation.days),
        evaluate=_evaluate(simulation, latency=3 if retail else 10),
    )
    return text + _action_sections() if "treatments" in simulation.tables else text


def _action_sections() -> str:
    """What may be done, with the costs of the simulation; the acceptances are guesses."""
    parts = [
        f"""
[actions.{action.name}]
when = "not stage = churned"  # for whom
channel = "{action.channel}"
contact_cost = {action.contact_cents / 100}  # EUR a contact
incentive = {action.incentive_cents / 100}  # EUR where the offer is taken
acceptance = 0.1  # a guess: the share of leavers it keeps; `lifecycle measure` says what it was
"""
        for action in ACTIONS
    ]
    return "".join(parts)
