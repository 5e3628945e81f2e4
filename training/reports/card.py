"""The card of a release: purpose, data, quality, limits, and what it must not be used for.

After Mitchell et al. 2019, Model cards for model reporting. It holds aggregates only, and no number
that is not in the evaluation, the settings or the release; nothing about a customer, and of the
business's storage only table names.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from features.core.instants import DAY_US, day_text
from features.core.language import join_words, mark, say, term
from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.learned_multiples import FEW_GAPS
from serving.scoring.scorer import Scorer
from training import metrics
from training.formats import UNKNOWN, count, percent
from training.reports import card_sections as sections
from training.reports.campaign_text import campaign_lines
from training.reports.card_metrics import metrics_section
from training.reports.card_models import models_section
from training.reports.curve_text import curve_section
from training.reports.markdown import markdown_table, one_line
from training.reports.target_text import targets_section
from training.reports.value_text import value_section

Report = dict[str, Any]
PACKAGES = (
    "customer-lifecycle",
    "duckdb",
    "narwhals",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "xgboost-cpu",
    "xgboost",
)
STATUS = {
    "ok": mark("both models are fitted"),
    "no_skill": mark(
        "the churn model is not better than chance, and the rates of eligible and of other "
        "customers are served instead"
    ),
    "not_enough_data": mark(
        "too little history to train, and rates are served instead (own past, stage, segment, "
        "everyone)"
    ),
}
USES = {
    "train": mark("trained on"),
    "evaluate": mark("evaluated on, for the figures here"),
    "refit": mark("fitted on, for what is served"),
}


def package_versions() -> dict[str, str]:
    """Versions of the installed packages that decide scores."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def card_text(scorer: Scorer, evaluation: Report, settings: Settings) -> str:
    """The whole card as markdown, for any status: under 230 lines, and a section for each target.

    In the current language. `evaluation` is the content of `evaluation.json`.
    """
    lines = [
        say("# {business}: churn and next stage", business=one_line(settings.business.name)),
        "",
        say(
            "Status: **{status}**: {meaning}.",
            status=scorer.status,
            meaning=say(STATUS[scorer.status]),
        ),
        "",
        *_use(scorer.definitions),
        *_population(scorer.definitions, evaluation, settings),
        *_stages(scorer.definitions, settings),
        *_data(scorer, evaluation, settings),
        *models_section(scorer, evaluation),
    ]
    if "churn" in evaluation:
        for section in (
            sections.verdict_section,
            metrics_section,
            sections.calibration_section,
            sections.rates_section,
            sections.segments_section,
            sections.uncertainty_section,
            curve_section,
            value_section,
            sections.without_section,
        ):
            lines += section(evaluation)
    else:
        lines += value_section(evaluation)
    lines += [*targets_section(evaluation), *_limits(evaluation), *_not_for()]
    return "\n".join(lines) + "\n"


def _use(definitions: Definitions) -> list[str]:
    return [
        say("## Intended use"),
        "",
        say(
            "Two questions about a known customer as of a day: will they leave within {days} days, "
            "and which stage will they be in then? Both answers are one distribution. They are for "
            "the people of this business who decide on contact, service and offers, and who plan "
            "how many customers will stay.",
            days=definitions.horizon_days,
        ),
        "",
    ]


def _population(definitions: Definitions, evaluation: Report, settings: Settings) -> list[str]:
    eligible = (
        say("with cover that runs at as_of")
        if definitions.contractual
        else say("active in the last {days} days before as_of", days=definitions.eligible_days)
    )
    members = {"everyone": say("active before as_of, gone or not"), "eligible": eligible}
    rows = [
        (term(who), words, *_rows_and_rate(evaluation.get("churn", {}).get(who)))
        for who, words in members.items()
    ]
    return [
        say("## Population, label and stages"),
        "",
        *markdown_table((say("population"), term("who"), say("evaluated rows"), say("left")), rows),
        say(
            "*Everyone* includes customers who left long ago, and they are easy. *Eligible* are "
            "those for whom the answer matters. Prospects (no activity yet) have no churn score."
        ),
        "",
        _label(definitions, settings),
        "",
    ]


def _rows_and_rate(report: Report | None) -> tuple[str, str]:
    if not report:
        return UNKNOWN, UNKNOWN
    return count(report["rows"]), percent(report["rate"])


def _label(definitions: Definitions, settings: Settings) -> str:
    latency = say(
        "What is recorded up to {days} days after the window counts.",
        days=definitions.label_latency_days,
    )
    if definitions.contractual:
        return say(
            "A customer **churned** when cover ends or is cancelled within {days} days from as_of "
            "on and is not renewed within {grace} days of grace; a customer without cover at as_of "
            "stays by beginning a term. {latency}",
            days=definitions.horizon_days,
            grace=definitions.grace_days,
            latency=latency,
        )
    return say(
        "A customer **churned** when there is no activity ({table}: {kinds}) in the {days} days "
        "from as_of on. {latency} Only the missing activity is observed: no customer reports that "
        "they left.",
        table=settings.activity.table,
        kinds=one_line(join_words(settings.activity.kinds)),
        days=definitions.horizon_days,
        latency=latency,
    )


def _stages(definitions: Definitions, settings: Settings) -> list[str]:
    gap_days = definitions.population_mean_gap_us / DAY_US
    starts = (
        say(
            "{stage} from {gaps:.2f} usual gaps ({days:.1f} days)",
            stage=term(name),
            gaps=multiple,
            days=multiple * gap_days,
        )
        for name, multiple in zip(
            ("at_risk", "dormant", "churned"), definitions.multiples, strict=True
        )
    )
    text = say(
        "Stages are rules over the time since the last activity, in usual gaps of the customer. In "
        "days at the population mean gap of {days:.1f}: {starts}. Below that the stage is new, "
        "growing or loyal. {source}",
        days=gap_days,
        starts=say("; ").join(starts),
        source=_multiples_source(definitions, settings),
    )
    return [text + _reactivated(definitions, settings), ""]


def _reactivated(definitions: Definitions, settings: Settings) -> str:
    if definitions.reactivated_share is None:
        return ""
    named = {
        "share": percent(definitions.reactivated_share),
        "cases": definitions.reached_churned,
    }
    if settings.activity.table == "transactions":
        return say(
            " {share} of those called churned bought again later ({cases:,} cases).", **named
        )
    return say(
        " {share} of those called churned were active again later ({cases:,} cases).", **named
    )


def _multiples_source(definitions: Definitions, settings: Settings) -> str:
    text = say("Learned from {gaps:,} gaps.", gaps=definitions.gaps)
    if settings.stages.multiples:
        text = say("The multiples are set in the configuration, not learned.")
    elif definitions.gaps < FEW_GAPS:
        text = say(
            "Only {gaps:,} gaps are known: the multiples are defaults, not learned.",
            gaps=definitions.gaps,
        )
    if definitions.contractual:
        text += say(
            " While cover runs, no activity leads to dormant at most; churned means that cover "
            "ended."
        )
    return text


def _data(scorer: Scorer, evaluation: Report, settings: Settings) -> list[str]:
    dates = evaluation.get("as_of", {})
    rows = [
        (say(words), str(len(dates[use])), dates[use][0], dates[use][-1])
        for use, words in USES.items()
        if dates.get(use)
    ]
    learned = day_text(scorer.definitions.learned_as_of, zone=settings.zone)
    notes = _data_notes(evaluation)
    return [
        say("## Data"),
        "",
        say(
            "Tables: {tables}. A row is a customer as of a day, with what was known before it. The "
            "population mean gap, stages and attributes were learned as of {day}. `lifecycle "
            "check` counts every row read, kept and rejected.",
            tables=join_words(settings.tables),
            day=learned,
        ),
        "",
        *markdown_table((say("dates"), say("how many"), term("first"), term("last")), rows),
        *(f"- {note}" for note in notes),
        *[""] * bool(notes),
    ]


def _data_notes(evaluation: Report) -> list[str]:
    notes = []
    if "train_rows" in evaluation:
        notes.append(
            say(
                "{rows:,} training rows; their outcome windows end before the first evaluation "
                "date.",
                rows=evaluation["train_rows"],
            )
        )
    if "late_activity" in evaluation:
        notes.append(
            say(
                "{times:,} times an activity happened before an as_of and was recorded after it: "
                "at that as_of it is neither known nor an outcome.",
                times=evaluation["late_activity"],
            )
        )
    if evaluation.get("unused_features"):
        notes.append(
            say(
                "{columns} columns are not modelled: their windows are longer than the history.",
                columns=len(evaluation["unused_features"]),
            )
        )
    if evaluation.get("sensitive_left_out"):
        names = join_words(map(one_line, evaluation["sensitive_left_out"]))
        notes.append(say("Not used, as they may be sensitive: {names}.", names=names))
    return [*notes, *campaign_lines(evaluation)]


def _limits(evaluation: Report) -> list[str]:
    lines = [say("## Limits"), ""]
    if dates := evaluation.get("as_of", {}).get("evaluate"):
        lines += [f"- {limit}" for limit in _figure_limits(len(dates))]
    return [
        *lines,
        say(
            "- What the span of the data does not contain was not seen: seasons, prices, products, "
            "a crisis. Customers with little history are predicted mostly from what others did."
        ),
        "",
    ]


def _figure_limits(dates: int) -> list[str]:
    first = (
        say("The figures are of 1 later date of one business.")
        if dates == 1
        else say("The figures are of {dates} later dates of one business.", dates=dates)
    )
    return [
        first
        + say(
            " No interval here includes how dates differ: `lifecycle backtest` evaluates many "
            "dates."
        ),
        say(
            "The figures are of models fitted on the training dates. The served models are fitted "
            "again on later dates too, and can be measured only when those outcomes are complete."
        ),
        say(
            "Columns, settings and blend were chosen on training dates. If you train again until "
            "these figures look good, you have chosen on the evaluation date and they are too "
            "optimistic."
        ),
        say(
            "Intervals: AUROC by DeLong and rates by Wilson, rows taken as independent; "
            "differences of log loss by {draws} draws of customers. A customer at several dates "
            "makes the first two too narrow.",
            draws=metrics.REPLICATES,
        ),
        say(
            "The churn rate moves. When it leaves the range above, p is off by as much; the order "
            "of customers stays right for longer."
        ),
    ]


def _not_for() -> list[str]:
    return [
        say("## Not to be used for"),
        "",
        say(
            "- Not for decisions with legal effect on a person or a similar effect: credit, "
            "insurance, employment, housing, prices per person."
        ),
        say("- Not for refusing or worsening service: a low score is not the customer's fault."),
        say(
            "- Not for a claim about causes. It says who leaves, not who can be kept: what an "
            "offer changes needs an experiment with a random group that gets no offer. Reasons say "
            "what moves the score, not what would change the customer."
        ),
        say(
            "- Not for treating one person differently without a human who can decide otherwise, "
            "and a way to object."
        ),
        say(
            "- Not for another business, market or label than this one, and not when nobody has "
            "looked at its figures for a long time."
        ),
        "",
        say(
            "Whether groups of people are treated alike is not judged here: no attribute is known "
            "to be a protected one."
        ),
    ]
