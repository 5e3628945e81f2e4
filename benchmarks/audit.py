"""Planted leaks: how many does `lifecycle audit` name, and does it accuse clean tables?

    python -m benchmarks.audit [--seeds 5] [--clean 10] [--customers 400] [--json]

Ten kinds of leaks, half of the seeds in each mode of the simulator (a shop and a gym-like
subscription); clean tables of both modes; the seconds of a whole audit of the demo's size. The
whole search for leaks runs but for the perturbations, which no written-back row can fail.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.planted_leaks import NAMES, plant
from features.audit import attributes, audit, clocks, written_back
from features.audit.findings import LEAK
from features.core.settings import Settings, load_settings
from features.tables.history import History, load_history
from lifecycle import simulation

MODES = ("retail", "subscription")
WANTED = {"named": 0.9, "accused": 0, "seconds": 60.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clean", type=int, default=10, help="clean sets of each mode")
    parser.add_argument("--customers", type=int, default=400)
    parser.add_argument("--demo", type=int, default=3000, help="customers of the timed audit")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    options = parser.parse_args()
    planted = [
        (name, seed, accused_tables(name, seed=seed, customers=options.customers))
        for seed in range(1, options.seeds + 1)
        for name in NAMES
    ]
    missed = [(name, seed) for name, seed, tables in planted if NAMES[name] not in tables]
    accused = [
        (mode, seed, sorted(tables))
        for mode in MODES
        for seed in range(101, 101 + options.clean)
        if (tables := accused_tables(None, seed=seed, customers=options.customers, mode=mode))
    ]
    seconds = time_audit(options.demo)
    named = len(planted) - len(missed)
    print(f"planted: {named} of {len(planted)} named; missed: {missed or 'none'}")
    print(f"clean: {len(accused)} of {2 * options.clean} accused: {accused or 'none'}")
    if seconds is not None:
        print(f"audit of the demo with {options.demo:,} customers: {seconds:.0f} s")
    if options.json:
        print(json.dumps(_figures(named, len(planted), len(accused), seconds)))


def accused_tables(
    name: str | None, *, seed: int, customers: int, mode: str | None = None
) -> set[str]:
    """The tables that the search for leaks accuses, with the leak `name` planted (None: clean)."""
    mode = mode or MODES[seed % 2]
    business = simulation.simulate(customers=customers, mode=mode, seed=seed)
    if name is not None:
        tables = plant(
            business.tables, name, mode=mode, horizon_days=business.horizon_days, seed=seed
        )
        business = dataclasses.replace(business, tables=tables)
    with tempfile.TemporaryDirectory() as place:
        simulation.write(business, folder=Path(place))
        settings = load_settings(Path(place) / "lifecycle.toml")
        history, _ = load_history(settings)
        return _accused(history, settings)


def _accused(history: History, settings: Settings) -> set[str]:
    findings = [
        *written_back.find_written_back(history, settings, []),
        *attributes.find_suspicious_columns(history, settings, []),
        *clocks.find_clock_errors(history),
    ]
    return {one.where.partition(".")[0] for one in findings if one.severity == LEAK}


def time_audit(customers: int) -> float | None:
    """Seconds of one audit of a simulated shop, without reading its files; None for 0 customers."""
    if not customers:
        return None
    with tempfile.TemporaryDirectory() as place:
        business = simulation.simulate(customers=customers, mode="retail", seed=1)
        simulation.write(business, folder=Path(place))
        settings = load_settings(Path(place) / "lifecycle.toml")
        history, _ = load_history(settings)
        began = time.perf_counter()
        audit(history, settings)
        return time.perf_counter() - began


def _figures(named: int, planted: int, accused: int, seconds: float | None) -> dict[str, Any]:
    """Each figure with what is wanted; the seconds only where they were measured."""
    least = WANTED["named"] * planted
    figures: dict[str, Any] = {
        "planted leaks named": {"value": named, "wanted": least, "holds": named >= least},
        "clean sets accused": {"value": accused, "wanted": 0, "holds": accused == 0},
    }
    if seconds is not None:
        figures["audit of the demo, seconds"] = {
            "value": round(seconds, 1),
            "wanted": WANTED["seconds"],
            "holds": seconds <= WANTED["seconds"],
        }
    return figures


if __name__ == "__main__":
    main()
