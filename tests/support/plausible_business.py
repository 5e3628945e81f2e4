"""A small plausible business as files, and what `check` says about it."""

from __future__ import annotations

from datetime import date, timedelta

from features.core.instants import instant
from features.core.settings import settings_from_mapping
from features.tables.history import load_history
from lifecycle.commands.check import build_report
from lifecycle.commands.check_text import report_text

NOW = instant("2025-01-02", zone="UTC")
START = date(2024, 1, 1)
HEAD = "customer_id,occurred_at,amount,transaction_id\n"


def day(number):
    return str(START + timedelta(days=number))


def purchases(customers=40, step=9):
    """Everybody buys every `step` days of a year; a fifth stops halfway, a tenth before its end."""
    rows = [
        (f"c{who:02d}", day(at), f"{10 + who}.50", f"o{who}-{at}")
        for who in range(customers)
        for at in range(who % step, 366, step)
        if at < (330 if who < customers * 0.1 else 366 if who < customers * 0.8 else 180)
    ]
    return [",".join(row) for row in rows]


def business(folder, texts, **sections):
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    mapping = {
        "business": {"zone": "UTC"},
        "files": {f"{name}_file": f"{name}.csv" for name in texts},
        "tables": {name: f"SELECT * FROM {name}_file" for name in texts},
        "churn": {"horizon_days": 30},
    }
    for name, section in sections.items():
        mapping[name] = mapping.get(name, {}) | section
    settings = settings_from_mapping(mapping, folder=folder, where="test")
    return settings, *load_history(settings)


def findings(folder, texts, *, now=NOW, **sections):
    settings, history, counts = business(folder, texts, **sections)
    report = build_report(history, counts, settings, now=now)
    named = {(each["name"], each["table"]): each for each in report["findings"]}
    text = report_text(report)
    assert all(each["sentence"] in text and each["fix"] in text for each in report["findings"])
    return named


def shop(*more, head=HEAD):
    return head + "\n".join([*purchases(), *more]) + "\n"


def names(named):
    return [name for name, _ in named]


def complete(table):
    return {"fresh_until": {table: day(366)}}
