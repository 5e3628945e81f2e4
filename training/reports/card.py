"""The card of a release: purpose, data, quality, limits, and what it must not be used for.

After Mitchell et al. 2019, Model cards for model reporting. It holds aggregates only, and no number
that is not in the evaluation, the settings or the release; nothing about a customer, and of the
business's storage only table names.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.learned_multiples import FEW_GAPS
from serving.scoring.scorer import Scorer
from training import metrics
from training.formats import UNKNOWN, count, percent
from training.reports import card_sections as sections
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
    "ok": "both models are fitted",
    "no_skill": "the churn model is not better than chance, and the rates of eligible and of other "
    "customers are served instead",
    "not_enough_data": "too little history to train, and rates are served instead (own past, "
    "stage, segment, everyone)",
}
USES = {
    "train": "trained on",
    "evaluate": "evaluated on, for the figures here",
    "refit": "fitted on, for what is served",
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

    `evaluation` is the content of `evaluation.json`.
    """
    lines = [
        f"# {one_line(settings.business.name)}: churn and next stage",
        "",
        f"Status: **{scorer.status}**: {STATUS[scorer.status]}.",
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
        "## Intended use",
        "",
        "Two questions about a known customer as of a day: will they leave within "
        f"{definitions.horizon_days} days, and which stage will they be in then? Both answers are "
        "one distribution. They are for the people of this business who decide on contact, service "
        "and offers, and who plan how many customers will stay.",
        "",
    ]


def _population(definitions: Definitions, evaluation: Report, settings: Settings) -> list[str]:
    eligible = (
        "with cover that runs at as_of"
        if definitions.contractual
        else f"active in the last {definitions.eligible_days} days before as_of"
    )
    members = {"everyone": "active before as_of, gone or not", "eligible": eligible}
    rows = [
        (who, words, *_rows_and_rate(evaluation.get("churn", {}).get(who)))
        for who, words in members.items()
    ]
    return [
        "## Population, label and stages",
        "",
        *markdown_table(("population", "who", "evaluated rows", "left"), rows),
        "*Everyone* includes customers who left long ago, and they are easy. *Eligible* are those "
        "for whom the answer matters. Prospects (no activity yet) have no churn score.",
        "",
        _label(definitions, settings),
        "",
    ]


def _rows_and_rate(report: Report | None) -> tuple[str, str]:
    if not report:
        return UNKNOWN, UNKNOWN
    return count(report["rows"]), percent(report["rate"])


def _label(definitions: Definitions, settings: Settings) -> str:
    latency = (
        f"What is recorded up to {definitions.label_latency_days} days after the window counts."
    )
    if definitions.contractual:
        return (
            f"A customer **churned** when cover ends or is cancelled within "
            f"{definitions.horizon_days} days from as_of on and is not renewed within "
            f"{definitions.grace_days} days of grace; a customer without cover at as_of stays by "
            f"beginning a term. {latency}"
        )
    kinds = one_line(", ".join(settings.activity.kinds))
    return (
        f"A customer **churned** when there is no activity ({settings.activity.table}: {kinds}) in "
        f"the {definitions.horizon_days} days from as_of on. {latency} Only the missing activity "
        "is observed: no customer reports that they left."
    )


def _stages(definitions: Definitions, settings: Settings) -> list[str]:
    gap_days = definitions.population_mean_gap_us / DAY_US
    starts = (
        f"{name} from {multiple:.2f} usual gaps ({multiple * gap_days:.1f} days)"
        for name, multiple in zip(
            ("at_risk", "dormant", "churned"), definitions.multiples, strict=True
        )
    )
    return [
        "Stages are rules over the time since the last activity, in usual gaps of the customer. In "
        f"days at the population mean gap of {gap_days:.1f}: {'; '.join(starts)}. Below that the "
        f"stage is new, growing or loyal. {_multiples_source(definitions, settings)}"
        f"{_reactivated(definitions, settings)}",
        "",
    ]


def _reactivated(definitions: Definitions, settings: Settings) -> str:
    if definitions.reactivated_share is None:
        return ""
    words = "bought again" if settings.activity.table == "transactions" else "were active again"
    return (
        f" {percent(definitions.reactivated_share)} of those called churned {words} later "
        f"({definitions.reached_churned:,} cases)."
    )


def _multiples_source(definitions: Definitions, settings: Settings) -> str:
    text = f"Learned from {definitions.gaps:,} gaps."
    if settings.stages.multiples:
        text = "The multiples are set in the configuration, not learned."
    elif definitions.gaps < FEW_GAPS:
        text = f"Only {definitions.gaps:,} gaps are known: the multiples are defaults, not learned."
    if definitions.contractual:
        text += (
            " While cover runs, no activity leads to dormant at most; churned means that cover "
            "ended."
        )
    return text


def _data(scorer: Scorer, evaluation: Report, settings: Settings) -> list[str]:
    dates = evaluation.get("as_of", {})
    rows = [
        (words, str(len(dates[use])), dates[use][0], dates[use][-1])
        for use, words in USES.items()
        if dates.get(use)
    ]
    learned = day_text(scorer.definitions.learned_as_of, zone=settings.zone)
    notes = _data_notes(evaluation)
    return [
        "## Data",
        "",
        f"Tables: {', '.join(settings.tables)}. A row is a customer as of a day, with what was "
        "known before it. The population mean gap, stages and attributes were learned as of "
        f"{learned}. `lifecycle check` counts every row read, kept and rejected.",
        "",
        *markdown_table(("dates", "how many", "first", "last"), rows),
        *(f"- {note}" for note in notes),
        *[""] * bool(notes),
    ]


def _data_notes(evaluation: Report) -> list[str]:
    notes = []
    if "train_rows" in evaluation:
        notes.append(
            f"{evaluation['train_rows']:,} training rows; their outcome windows end before the "
            "first evaluation date."
        )
    if "late_activity" in evaluation:
        notes.append(
            f"{evaluation['late_activity']:,} times an activity happened before an as_of and was "
            "recorded after it: at that as_of it is neither known nor an outcome."
        )
    if evaluation.get("unused_features"):
        notes.append(
            f"{len(evaluation['unused_features'])} columns are not modelled: their windows are "
            "longer than the history."
        )
    if evaluation.get("sensitive_left_out"):
        notes.append(
            "Not used, as they may be sensitive: "
            f"{', '.join(map(one_line, evaluation['sensitive_left_out']))}."
        )
    return notes


def _limits(evaluation: Report) -> list[str]:
    lines = ["## Limits", ""]
    if dates := evaluation.get("as_of", {}).get("evaluate"):
        lines += [f"- {limit}" for limit in _figure_limits(len(dates))]
    return [
        *lines,
        "- What the span of the data does not contain was not seen: seasons, prices, products, a "
        "crisis. Customers with little history are predicted mostly from what others did.",
        "",
    ]


def _figure_limits(dates: int) -> list[str]:
    return [
        f"The figures are of {dates} later {'date' if dates == 1 else 'dates'} of one business. No "
        "interval here includes how dates differ: `lifecycle backtest` evaluates many dates.",
        "The figures are of models fitted on the training dates. The served models are fitted "
        "again on later dates too, and can be measured only when those outcomes are complete.",
        "Columns, settings and blend were chosen on training dates. If you train again until these "
        "figures look good, you have chosen on the evaluation date and they are too optimistic.",
        "Intervals: AUROC by DeLong and rates by Wilson, rows taken as independent; differences of "
        f"log loss by {metrics.REPLICATES} draws of customers. A customer at several dates makes "
        "the first two too narrow.",
        "The churn rate moves. When it leaves the range above, p is off by as much; the order of "
        "customers stays right for longer.",
    ]


def _not_for() -> list[str]:
    return [
        "## Not to be used for",
        "",
        "- Not for decisions with legal effect on a person or a similar effect: credit, insurance, "
        "employment, housing, prices per person.",
        "- Not for refusing or worsening service: a low score is not the customer's fault.",
        "- Not for a claim about causes. It says who leaves, not who can be kept: what an offer "
        "changes needs an experiment with a random group that gets no offer. Reasons say what "
        "moves the score, not what would change the customer.",
        "- Not for treating one person differently without a human who can decide otherwise, and a "
        "way to object.",
        "- Not for another business, market or label than this one, and not when nobody has "
        "looked at its figures for a long time.",
        "",
        "Whether groups of people are treated alike is not judged here: no attribute is known to "
        "be a protected one.",
    ]
