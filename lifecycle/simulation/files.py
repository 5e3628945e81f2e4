"""The simulated business on disk, as `lifecycle` reads one: CSV files and lifecycle.toml, the truth beside them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pyarrow import csv, parquet

from lifecycle.simulation.world import Simulation

_LIFECYCLE = """\
[business]
name = "{name}"  # as it stands in reports
archetype = "{archetype}"  # contractual: customers pay for terms; non-contractual: they come, or do not
zone = "UTC"  # what a time without a zone means
currency = "EUR"  # of every amount

[files]  # each becomes a view of this name, every column as text
{files}

[tables]  # one SELECT for each table of the contract
{tables}

[activity]  # what counts as the customer being active
table = "{activity}"  # the table that holds it
kinds = ["{kind}"]  # its kinds that count

[churn]
horizon_days = {horizon_days}  # how far ahead leaving is asked about
label_latency_days = {latency}  # how long after the window its outcome may still come in
grace_days = {grace}  # how late a renewal may be and still count

[contract]
data_until = "{until}"  # the day after the last one in the files
constant_attributes = ["channel", "region", "segment"]  # what a customer was from the first day on, and stays

[training]
{evaluate}  # looked at after training, on a date the truth is known for
seconds = 10  # how long the search for good settings may take
max_dates = 9  # how many dates to learn from
"""


def write(simulation: Simulation, *, folder: Path) -> None:
    """`data/*.csv` and `lifecycle.toml` as a business would have them; the truth apart, in `truth/truth.parquet`."""
    # No value holds a comma or a quote, so nothing is quoted, and an empty cell is a null.
    plain = csv.WriteOptions(quoting_style="none", quoting_header="none")
    for room in ("data", "truth"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    for name, table in simulation.tables.items():
        csv.write_csv(table, folder / "data" / f"{name}.csv", plain)
    parquet.write_table(simulation.truth, folder / "truth" / "truth.parquet")
    (folder / "lifecycle.toml").write_text(_lifecycle(simulation), encoding="utf-8")


def _evaluate(simulation: Simulation, *, latency: int) -> str:
    """The newest date of the truth whose outcomes are all in, or none where the span is too short for one."""
    last = simulation.start + timedelta(days=simulation.days - simulation.horizon_days - latency)
    days = [day for day in set(simulation.truth["as_of"].to_pylist()) if day <= last]
    return f"evaluate = [{max(days)}]" if days else "evaluate = []"


def _lifecycle(simulation: Simulation) -> str:
    retail = simulation.mode == "retail"
    return _LIFECYCLE.format(
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
