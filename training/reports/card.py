"""The card of a release: what it is for, what it was trained on, how good it is, and what it may not be used for.

After Mitchell et al. 2019, Model cards for model reporting. Aggregates only, and no number the evaluation, the settings
or the release do not hold: nothing of a customer, and nothing of how the business keeps its data but table names.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.stages import FEW_GAPS
from serving.scoring.scorer import Scorer
from training import metrics
from training.models.blending import SEEDS
from training.reports import card_sections as sections

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
    "no_skill": "the model could not be told from chance, and the base rate of churn is served instead",
    "not_enough_data": "too little history to train, and rates are served instead (own past, stage, segment, everyone)",
}
MODELS = {"churn": "churn", "next-stage": "the next stage of who stays"}
USES = {
    "train": "trained on",
    "evaluate": "evaluated on, for the figures here",
    "refit": "fitted on, for what is served",
}


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def text(scorer: Scorer, account: Mapping[str, Any], settings: Settings) -> str:
    """The whole card as markdown, under 200 lines, for any status; `account` is what `evaluation.json` holds."""
    lines = [f"# {sections.plain(settings.business.name)}: churn and next stage", ""]
    lines += [f"Status: **{scorer.status}**: {STATUS[scorer.status]}.", ""]
    lines += [
        *_use(scorer.definitions),
        *_population(scorer.definitions, account, settings),
        *_stages(scorer.definitions, settings),
    ]
    lines += [*_data(scorer, account, settings), *_models(scorer, account)]
    if "churn" in account:
        for section in (
            sections.verdict,
            sections.figures,
            sections.calibration,
            sections.rates,
            sections.sliced,
            sections.sure,
        ):
            lines += section(account)
    lines += [*_limits(account), *_not_for()]
    return "\n".join(lines) + "\n"


def _use(definitions: Definitions) -> list[str]:
    return [
        "## Intended use",
        "",
        f"Two questions about a known customer, as of a day: will they leave within {definitions.horizon_days} days, and "
        "at which stage will they stand then? Both answers are one distribution. For the people of this business who "
        "decide on contact, service and offers, and who plan how many will stay.",
        "",
    ]


def _population(
    definitions: Definitions, account: Mapping[str, Any], settings: Settings
) -> list[str]:
    able = (
        "with cover that runs at as_of"
        if definitions.contractual
        else (f"active in the last {definitions.eligible_days} days before as_of")
    )
    rows = [
        (who, what, *_counted(account.get("churn", {}).get(who)))
        for who, what in (
            ("everyone", "who was active before as_of, gone or not"),
            ("eligible", able),
        )
    ]
    return [
        "## Population, label and stages",
        "",
        *sections.table(("population", "who", "evaluated rows", "left"), rows),
        "*Everyone* holds those who left long ago, and they are easy. *Eligible* are those of whom the answer matters. "
        "Prospects (no activity yet) have no churn score.",
        "",
        _label(definitions, settings),
        "",
    ]


def _counted(found: Mapping[str, Any] | None) -> tuple[str, str]:
    return (
        (sections.count(found["rows"]), sections.percent(found["rate"]))
        if found
        else (sections.UNKNOWN,) * 2
    )


def _label(definitions: Definitions, settings: Settings) -> str:
    waited = (
        f"What is recorded up to {definitions.label_latency_days} days after the window counts."
    )
    if definitions.contractual:
        return (
            f"A customer **churned** when cover ends or is cancelled within {definitions.horizon_days} days from as_of on and "
            f"is not renewed within {definitions.grace_days} days of grace; who has no cover at as_of stays by beginning a "
            f"term. {waited}"
        )
    kinds = sections.plain(", ".join(settings.activity.kinds))
    return (
        f"A customer **churned** when there is no activity ({settings.activity.table}: {kinds}) in the "
        f"{definitions.horizon_days} days from as_of on. {waited} Silence is all that is seen: nobody says that they left."
    )


def _stages(definitions: Definitions, settings: Settings) -> list[str]:
    begins = (
        f"{name} from {multiple:.2f} usual gaps ({multiple * definitions.base_gap_us / DAY_US:.1f} days)"
        for name, multiple in zip(
            ("at_risk", "dormant", "churned"), definitions.multiples, strict=True
        )
    )
    back = (
        ""
        if definitions.came_back is None
        else (
            f" Of {definitions.reached_churned:,} waits that got as long as churned, {definitions.came_back:.1%} ended with activity."
        )
    )
    return [
        f"Stages are rules over silence in the customer's usual gap; in days at the mean gap of "
        f"{definitions.base_gap_us / DAY_US:.1f}: {'; '.join(begins)}. Under that new, growing or loyal. "
        f"{_learned(definitions, settings)}{back}",
        "",
    ]


def _learned(definitions: Definitions, settings: Settings) -> str:
    told = f"Learned from {definitions.gaps:,} gaps."
    if settings.stages.multiples:
        told = "The multiples are stated, not learned."
    elif definitions.gaps < FEW_GAPS:
        told = f"Only {definitions.gaps:,} gaps are known: the multiples are the usual ones, not learned."
    ended = " While cover runs, silence alone reads dormant; churned means that cover ended."
    return told + ended * definitions.contractual


def _data(scorer: Scorer, account: Mapping[str, Any], settings: Settings) -> list[str]:
    dates = account.get("as_of", {})
    rows = [
        (words, str(len(dates[use])), dates[use][0], dates[use][-1])
        for use, words in USES.items()
        if dates.get(use)
    ]
    learned = day_text(scorer.definitions.learned_as_of, zone=settings.zone)
    lines = [
        "## Data",
        "",
        f"Tables: {', '.join(settings.tables)}. A row is a customer as of a day, with what was known before "
        f"it. Base gap, stages and attributes were learned as of {learned}. `lifecycle check` counts every row read, kept "
        "and rejected.",
        "",
        *sections.table(("dates", "how many", "first", "last"), rows),
    ]
    told = []
    if "train_rows" in account:
        told.append(
            f"{account['train_rows']:,} training rows; their outcome windows end before the first evaluation date."
        )
    if "late_activity" in account:
        told.append(
            f"{account['late_activity']:,} times an activity was recorded only after an as_of it lies before: "
            "there it is neither known nor an outcome."
        )
    if account.get("left_out"):
        told.append(
            f"{len(account['left_out'])} columns are not modelled: their windows reach back further than the history."
        )
    return [*lines, *(f"- {line}" for line in told), *[""] * bool(told)]


def _models(scorer: Scorer, account: Mapping[str, Any]) -> list[str]:
    behind = f"{len(scorer.columns)} columns. {scorer.churn_rows:,} rows are behind p, {scorer.stay_rows:,} behind q."
    lines = ["## Models", "", behind]
    if "found" not in account:
        return [
            *lines,
            f"No model: {account.get('why', {}).get('got', 'not enough data')}. p and q are frequencies.",
            "",
        ]
    fitted = {
        job: account["found"][job]
        for job in MODELS
        if isinstance(account["found"].get(job), Mapping)
    }
    if any(part.get("weight") for part in fitted.values()):
        lines += [
            f"A blend in log-odds of a ridge logistic regression on logged columns and boosted trees ({SEEDS} seeds). Chosen "
            "on folds of the training dates by log loss (the last three columns), then fitted on all of them.",
            "",
        ]
    lines += sections.table(
        (
            "model",
            "chosen on",
            "ridge",
            "boosters' weight",
            "rounds",
            "one direction",
            "ridge alone",
            "boosters alone",
            "blend",
        ),
        [_ingredients(MODELS[job], part) for job, part in fitted.items()],
    )
    if part := fitted.get("churn", {}).get("columns"):
        lines += [
            f"The churn model is the simpler {fitted['churn']['model']}: a logistic regression on {', '.join(part)}.",
            "",
        ]
    for job, part in fitted.items():
        if part.get("directions"):
            lines += [
                f"Trees for {MODELS[job]} follow one direction in: {', '.join(sorted(part['directions']))}.",
                "",
            ]
    if "next-stage" not in fitted:
        lines += ["The next stage is by frequencies: too few rows for a model.", ""]
    if scorer.status == "no_skill":
        lines += [
            "The churn model is not served; the figures below, which are its own, say why.",
            "",
        ]
    return lines


def _ingredients(name: str, part: Mapping[str, Any]) -> tuple[str, ...]:
    told = part.get("losses", {})
    return (
        name,
        str(part.get("folds")),
        f"{part['strength']:g}",
        f"{part['weight']:g}",
        f"{part['rounds']:,}",
        f"{len(part.get('directions', ()))}",
        *(sections.four(told.get(key)) for key in ("ridge", "boosters", "blend")),
    )


def _limits(account: Mapping[str, Any]) -> list[str]:
    lines = ["## Limits", ""]
    if dates := account.get("as_of", {}).get("evaluate"):
        lines += [
            f"- The figures are of {len(dates)} later {'date' if len(dates) == 1 else 'dates'} of one business. No interval "
            "here holds how dates differ: `lifecycle backtest` walks many of them.",
            "- The figures are of models fitted on the training dates; what is served is fitted again on later dates too, "
            "and is measured only once those have passed.",
            "- Columns, settings and blend were chosen on training dates. Whoever trains again until these figures please "
            "has chosen on the evaluation date, and they flatter.",
            "- Intervals: AUROC by DeLong and rates by Wilson, rows taken as independent; differences of log loss by "
            f"{metrics.REPLICATES} draws of customers. A customer at several dates makes the first two too narrow.",
            "- The rate of leaving moves. When it leaves the range above, p is off by as much; the order of customers "
            "lasts longer.",
        ]
    return [
        *lines,
        "- What lies outside the span of the data was not seen: seasons, prices, products, a crisis. Customers with little "
        "history are known mostly by what others did.",
        "",
    ]


def _not_for() -> list[str]:
    return [
        "## Not to be used for",
        "",
        "- Not for decisions with legal effect on a person, or any alike: credit, insurance, employment, housing, price by person.",
        "- Not for refusing or worsening service: a low score is no fault of the customer's.",
        "- Not for a claim about causes. It says who leaves, not who can be kept: what an offer changes takes a trial with "
        "customers left alone by lot. Reasons tell what moves the score, not what would change the customer.",
        "- Not for treating one person differently without somebody who may decide otherwise, and a way to object.",
        "- Not for another business, market or label than this one, and not after its figures were not looked at for long.",
        "",
        "Whether groups of people are treated alike is not judged here: no attribute is known to be a protected one.",
    ]
