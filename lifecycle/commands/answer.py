"""What `run` and `demo` print: the answer first, then warnings, files and the next commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.language import ENGLISH, current_language, join_words, mark, say
from lifecycle.commands import check_text
from training.formats import confidence, decimals, pad, pad_left, percent
from training.reports import summary, target_text
from training.reports.campaign_text import campaign_lines
from training.reports.release_text import cut_searches, pending_text
from training.reports.scores_text import scores_text
from training.reports.value_text import money
from training.stored_texts import say_stored

RISKIEST = 5
_WHO = {"eligible": mark("eligible customers"), "everyone": mark("all customers")}


def answer_text(
    value: Mapping[str, Any],
    scores: Path,
    *,
    config: Path,
    truth: Mapping[str, Any] | None = None,
    consent: bool = False,
) -> str:
    """The answer of a finished run for a terminal.

    `value` is the data of `RunResult`, `scores` the batch folder with scores.parquet, `truth` the
    comparison with the true probabilities of a simulated business. `consent`: only customers who
    consented are named.
    """
    lines = [
        scores_text(scores, as_of=value["as_of"], riskiest=RISKIEST, consent=consent),
        "",
        *_figure(value["evaluation"], truth),
        *(f"    {line}" for line in campaign_lines(value["evaluation"])),
        *_worth(value["evaluation"], scores),
        *target_text.target_lines(value["evaluation"]),
        *(say("  warning: {text}", text=say_stored(warning)) for warning in value["warnings"]),
        "",
        *_files(value, scores),
        "",
        *_next_commands(config),
    ]
    return "\n".join(lines)


def _figure(evaluation: Mapping[str, Any], truth: Mapping[str, Any] | None) -> list[str]:
    """The AUROC of the model and of the best simple baseline."""
    churn = evaluation.get("churn") or {}
    # Eligible customers first: everyone includes those who left long ago, and they are easy.
    order = ("eligible", "everyone")
    known = [who for who in order if (churn.get(who) or {}).get("auroc") is not None]
    if not known:
        return [
            say("  churn model: no AUROC, because no model was evaluated or all had one outcome")
        ]
    who, report = known[0], churn[known[0]]
    dates = join_words(evaluation["as_of"]["evaluate"])
    lines = [
        say(
            "  churn model on later dates ({dates}), {who}: {rows:,} rows, {rate} left",
            dates=dates,
            who=say(_WHO[who]),
            rows=report["rows"],
            rate=percent(report["rate"]),
        ),
        say("    AUROC {auroc}; {baseline}", auroc=_auroc(report), baseline=_best_baseline(report)),
    ]
    if truth:
        lines.append(
            say(
                "    {share} of the AUROC gain that the true probabilities reach (their AUROC "
                "{auroc})",
                share=percent(truth["share_of_gain"], 0),
                auroc=decimals(truth["auroc_truth"]),
            )
        )
    return lines


def _worth(evaluation: Mapping[str, Any], scores: Path) -> list[str]:
    """One line: what the customers are worth together, and how much more if nobody left."""
    report = evaluation.get("value")
    if not report:
        return []
    columns = ["eligible", "clv", "clv_if_stays"]
    frame = pq.read_table(scores / "scores.parquet", columns=columns).to_pandas()
    frame = frame[frame["clv"].notna()]
    if frame.empty:
        why = report.get("unknown", say("the card says why"))
        return [say("  worth: not known ({why})", why=why)]
    eligible = frame[frame["eligible"]]
    at_stake = (eligible["clv_if_stays"] - eligible["clv"]).sum()
    text = say(
        "  worth in {days} days: {amount} {currency} of {customers:,} customers; {more} more if "
        "no eligible customer left",
        days=report["days"],
        amount=money(frame["clv"].sum()),
        currency=report["currency"],
        customers=len(frame),
        more=money(at_stake),
    )
    if report.get("extrapolated"):
        text += say(" (extrapolated from {days} days)", days=report["learned_days"])
    return [text]


def _auroc(report: Mapping[str, Any]) -> str:
    return decimals(report["auroc"]) + confidence(report["auroc_low"], report["auroc_high"])


def _best_baseline(report: Mapping[str, Any]) -> str:
    known = {
        name: one
        for name, one in report["baselines"].items()
        if one and one.get("auroc") is not None
    }
    if not known:
        return say("no simple baseline to compare with")
    # Sorted by name first, so that equal baselines always give the same one.
    name = max(sorted(known), key=lambda each: known[each]["auroc"])
    return say("best simple baseline ({name}) {auroc}", name=name, auroc=_auroc(known[name]))


def collect_warnings(value: Mapping[str, Any], *, note: str | None, stale: str | None) -> list[str]:
    """What a reader must know: stale data, no model, not served, a search cut off, not recorded.

    In English: they are part of the JSON.
    """
    warnings = [stale] if stale else []
    why = value["evaluation"].get("why")
    if value["status"] == "not_enough_data" and why:
        warnings.append(
            f"not enough data to train, so scores are rates: {why['got']}. "
            f"{why['rule']} {why['do']}"
        )
    if value["status"] == "no_skill":
        warnings.append(
            "no skill: the churn model is not better than chance. "
            "Its p_churn is the rate of eligible customers, and for others that of the others, "
            "marked no_skill"
        )
    if value["kept_because"] is not None:
        warnings.append(
            f"release {value['trained']} is not served: {'; '.join(value['kept_because'])}. "
            f"Scores are of release {value['release']}. To serve the new one all the same: "
            f'lifecycle promote {value["trained"]} --force "reason"'
        )
    if note:
        warnings.append(note)
    warnings += cut_searches(value["evaluation"])
    missing = [name for name, run_id in value["mlflow_runs"].items() if run_id is None]
    if missing:
        warnings.append(f"not recorded in MLflow yet: {pending_text(missing)}")
    return warnings


def _files(value: Mapping[str, Any], scores: Path) -> list[str]:
    release = Path(value["release_folder"])
    card = "card.md" if current_language() == ENGLISH else "card.zh.md"
    page = value.get("report")
    return [
        say("  files"),
        *([say("    report   {path}", path=page)] if page else []),
        say("    scores   {path}", path=scores / "scores.parquet"),
        say("    release  {path}", path=release),
        say("    card     {path}", path=release / card),
    ]


def _next_commands(config: Path) -> list[str]:
    commands = (
        ("lifecycle serve", say("answer over HTTP")),
        ("lifecycle ui", say("every training with its figures and plots")),
        (f"lifecycle backtest -c {config}", say("the same training on earlier dates")),
        ("lifecycle init your-files.csv", say("a configuration for your own data")),
    )
    width = max(len(command) for command, _ in commands) + 2
    lines = [f"    {command:<{width}}{purpose}" for command, purpose in commands]
    return [
        say("  what to type next (--verbose prints all tables; they also stand in the card)"),
        *lines,
    ]


def tables_text(value: Mapping[str, Any], truth: Mapping[str, Any] | None = None) -> str:
    """The tables behind the answer: every row read, model and baselines, the truth."""
    parts = [check_text.report_text(value["check"]), summary.training_text(value["evaluation"])]
    if truth:
        parts.append(truth_table(truth))
    parts.append(
        say(
            "  status     {status}\n  seconds    {seconds}",
            status=value["status"],
            seconds=value["seconds"],
        )
    )
    return "\n\n".join(parts)


def truth_table(truth: Mapping[str, Any]) -> str:
    """AUROC and log loss of the true probabilities and of the model, on the same rows."""
    rows = ((say("true probabilities"), "truth"), (say("our model"), "ours"))
    title = say("  {rows:,} eligible customers", rows=truth["rows"])
    loss = say("log loss")
    lines = [f"{title}{'':20}AUROC{pad_left(loss, 10)}"]
    for name, key in rows:
        auroc, log_loss = truth[f"auroc_{key}"], truth[f"log_loss_{key}"]
        lines.append(f"    {pad(name, 34)}{decimals(auroc, 4):>9}{decimals(log_loss, 4):>10}")
    return "\n".join(lines)
