"""The sections of a `lifecycle.toml`: every key with its type, bounds, default and meaning.

`docs/settings.md` is generated from this file: the text under a key is its row there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from features.core.contract import CONTRACT, NUMBER_LIMIT
from features.core.errors import suggestion
from features.core.truth_values import refuse_truth_as_number
from features.core.value_rules import CURRY_TIERS, check_rfm_cuts, check_tiers

MINOR_DIGITS = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "BHD": 3,
    "KWD": 3,
    "OMR": 3,
    "JOD": 3,
    "TND": 3,
}
# Age, gender, origin, religion, health, family, opinion: what may not decide about a person in many
# places of the world. English, German, French, Spanish and Chinese names of columns.
SENSITIVE_WORDS = (
    *("age", "agegroup", "ageband", "dob", "yob", "birth", "birthday", "birthdate", "birthyear"),
    *("born", "alter", "geburtsdatum", "geburtsjahr", "naissance", "edad", "年龄", "生日", "出生"),
    *("gender", "sex", "sexe", "sexo", "salutation", "geschlecht", "anrede", "civilite", "性别"),
    *("origin", "ethnicity", "ethnic", "race", "nationality", "citizenship", "herkunft"),
    *("nationalite", "origen", "民族", "籍贯", "国籍"),
    *("religion", "religious", "faith", "konfession", "宗教"),
    *("health", "disability", "disabled", "diagnosis", "pregnant", "pregnancy", "健康", "残疾"),
    *("marital", "orientation", "political", "politics", "criminal", "婚姻"),
)
MARGIN_COLUMN: Literal["column"] = "column"
Days = Annotated[int, Field(ge=1, le=3650)]
FileName = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the configuration. Unknown keys are refused, and truth values as numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_truth_as_number(cls, values: Any) -> Any:
        types = {name: field.annotation for name, field in cls.model_fields.items()}
        return refuse_truth_as_number(values, types)


class Business(Section):
    name: str = "my business"
    """The name shown on pages and model cards."""
    archetype: Literal["non-contractual", "contractual", "low-frequency", "one-off"] = (
        "non-contractual"
    )
    """`contractual`: customers pay for terms, and churn means that the paid cover ended.
    `low-frequency`: customers come back after a year or more (cars, furniture, travel); if they are
    not set, the horizon is 365 days and `eligible_days` three horizons. `one-off`: nobody is
    expected to buy again, and nothing is scored.
    """
    zone: str | None = None
    """IANA name of the business's time zone. Midnights are local midnights there (UTC if not set).
    Times without an offset are read in this zone (refused if it is not set).
    """
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    """Three capital letters (ISO 4217). It decides how many decimal digits an amount has."""

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(
                    "a zone is an IANA name such as 'Europe/London' or 'UTC'"
                ) from error
        return zone


class Activity(Section):
    table: Literal["transactions", "interactions"] = "transactions"
    """The table whose rows count as activity."""
    kinds: list[str] = Field(default=["purchase"], min_length=1)
    """The kinds of rows in that table that count as activity: what only a current customer does."""


class Churn(Section):
    horizon_days: Days = 90
    """Length of the window from `as_of` on, in days of 24 hours: where clocks change, it ends an
    hour earlier or later on the clock. A customer without activity in it has churned; with
    contracts, a customer whose cover ended or was cancelled in it and was not renewed within
    `grace_days`. 365 if it is not set and the archetype is `low-frequency`.
    """
    eligible_days: Days | None = None
    """A customer is eligible who was active in this number of days of 24 hours before `as_of` (if
    not set: the horizon; three horizons if the archetype is `low-frequency`). Not used with
    contracts: there a customer is eligible who has cover at `as_of`.
    """
    label_latency_days: int = Field(default=0, ge=0, le=365)
    """Days from the end of a window until its outcome is known. Nothing is learned from a window
    earlier.
    """
    grace_days: int = Field(default=0, ge=0, le=365)
    """A renewal at most this number of days late still counts as a renewal. `label_latency_days`
    must be at least as large. `lifecycle check` suggests a number.
    """


class Time(Section):
    horizons_days: list[Days] = Field(
        default=[7, 14, 30, 60, 90, 180, 365], min_length=1, max_length=12
    )
    """The days for which every score says how probable activity is by then (with contracts: that
    cover is lost by then). `[churn] horizon_days` joins them.
    """

    @field_validator("horizons_days")
    @classmethod
    def _check_horizons(cls, horizons: list[int]) -> list[int]:
        if len(set(horizons)) < len(horizons):
            raise ValueError("horizons_days has each number of days once")
        return sorted(horizons)


def curve_horizons(horizons_days: Iterable[int], horizon_days: int) -> tuple[int, ...]:
    """The days of the curve, ascending: those of [time] and the horizon."""
    return tuple(sorted({*horizons_days, horizon_days}))


class Stages(Section):
    multiples: list[float] | None = Field(default=None, min_length=3, max_length=3)
    """At risk, dormant and churned begin at these multiples of the customer's usual gap. Learned
    from all gaps if not set.
    """
    acquired: Literal["first_activity", "second_activity"] = "first_activity"
    """The activity from which tenure and cohorts count."""

    @field_validator("multiples")
    @classmethod
    def _check_multiples(cls, multiples: list[float] | None) -> list[float] | None:
        if multiples is not None and not (1 <= multiples[0] < multiples[1] < multiples[2] < 1000):
            raise ValueError("multiples must rise: 1 <= m1 < m2 < m3 < 1000")
        return multiples


class Contract(Section):
    data_until: str | None = None
    """The instant until which the data are complete. If not set: one microsecond after the newest
    instant at which an event was recorded, so that this event counts.
    """
    max_staleness_days: int = Field(default=3, ge=0, le=365)
    """The largest number of days by which `as_of` may lie after the local midnight that ends the
    last day of the data. A request with events and without `as_of` is refused where the population
    statistics are older than this.
    """
    exact_duplicates: Literal["drop", "keep"] = "drop"
    """`drop`: of rows that are equal in every column, one counts. `keep`: all of them count, except
    transactions with an id, of which one counts.
    """
    fresh_until: dict[str, str] = {}
    """By table: the instant until which it is complete, where its newest row does not show it. A
    table that is silent for longer than its own history allows is not used for scores.
    """
    arrives_after_hours: dict[str, float] = {}
    """By table: hours from an event until its row is known, for rows without `recorded_at`."""
    scales: dict[str, tuple[float, float]] = {"csat": (1, 5), "nps": (0, 10), "review": (1, 5)}
    """By kind of feedback: the lowest and the highest possible score."""
    constant_attributes: list[str] = []
    """Attributes of customers that never change. Only these, and attributes of rows with
    `valid_from`, become features.
    """

    terms_from: Literal["contracts", "payments"] = "contracts"
    """`contracts`: a row of `contracts` is a term. `payments`: every purchase under `transactions`
    pays for a term, which starts with it and lasts as long as payments of its category usually lie
    apart; a SELECT for contracts is not read. For subscriptions whose rows are overwritten.
    """
    term_days: dict[str, Annotated[int, Field(ge=0, le=3660)]] = {}
    """How many days a payment of a category pays for, with `terms_from = "payments"`, such as
    `{ Annual = 366, Books = 0 }`. 0: such a purchase is no term. Of a category that is not named:
    the usual distance of its payments.
    """
    trial_plans: list[str] | None = None
    """Plans that are trials. A trial is no term and gives no cover. If not set: every plan with the
    word "trial" in its name. `[]`: every plan is a term.
    """
    cancelled_terms: Literal["run_to_end", "end"] = "run_to_end"
    """What is left of a term after `cancelled_at`. `run_to_end`: what was paid for stays, until
    `ends_at`. `end`: the term ends when it is cancelled. An open-ended term always ends then. A
    term that is cancelled before it begins is no term.
    """

    @field_validator("fresh_until", "arrives_after_hours")
    @classmethod
    def _check_table_names(cls, by_table: dict[str, Any]) -> dict[str, Any]:
        for name in by_table:
            if name not in CONTRACT:
                hint = suggestion(name, CONTRACT) or f"one of {', '.join(CONTRACT)}"
                raise ValueError(f"'{name}' is no table: {hint}")
        return by_table

    @field_validator("scales")
    @classmethod
    def _check_scales(
        cls, scales: dict[str, tuple[float, float]]
    ) -> dict[str, tuple[float, float]]:
        for low, high in scales.values():
            if not (-NUMBER_LIMIT <= low < high <= NUMBER_LIMIT):
                raise ValueError("a scale is [lowest, highest], with lowest < highest")
        return scales


class Features(Section):
    windows_days: list[Days] | None = Field(default=None, min_length=1, max_length=8)
    """Lengths of the windows before `as_of` that features count in, in days of 24 hours. If not
    set: 1, 3, 6 and 12 median gaps, each moved to the nearest of 7, 14, 30, 60, 90, 180 and 365.
    """
    off: list[str] = []
    """Families, features or columns that are not computed."""
    sensitive: list[str] = list(SENSITIVE_WORDS)
    """Words in the names of attributes that may be sensitive, by law or by decency. Such an
    attribute is no feature, unless `sensitive_allowed` names it, and it is never a reason.
    """
    sensitive_allowed: list[str] = []
    """Attributes that are features although their name holds a word of `sensitive`."""
    treatments: StrictBool = False
    """Whether what campaigns did to a customer (the table treatments) is a feature: how often, and
    how long ago. The risk is then that of customers with these contacts.
    """
    own: str | None = Field(default=None, min_length=1)
    """A Python file with your own features. It runs as code, and a copy goes into the release."""


class Consent(Section):
    train: StrictBool = False
    """Whether the models learn only from customers whose `consent` is true."""
    score: StrictBool = False
    """Whether only customers whose `consent` is true are scored. Others are not in a run, and the
    service answers `no_consent` for their raw events; by id it does not know them.
    """
    list: StrictBool = True
    """Whether only customers whose `consent` is true are named in lists, where customers have the
    flag.
    """


class Satisfaction(Section):
    resolve_within_hours: float = Field(default=48, gt=0, le=8760)
    """Hours within which a complaint should be resolved."""


def _is_share(value: Any) -> bool:
    """Whether a setting is a number over 0 and up to 1, also as a text."""
    try:
        return 0 < float(value) <= 1
    except (TypeError, ValueError):
        return False


class Value(Section):
    days: Days = 365
    """For how many days from `as_of` on `clv` counts the money of a customer."""
    margin: Annotated[float, Field(gt=0, le=1)] | Literal["column"] = 1.0
    """The share of the money that is left after what was sold is paid for. 1: `clv` is revenue.
    `"column"`: what the column `margin` of transactions says of each row; [Worth](value.md#margin)
    says what counts where it is empty. Not with contracts.
    """
    annual_discount: float = Field(default=0.1, ge=0, le=10)
    """By how much money in a year is worth less than money today: 0.1 is ten percent."""
    win_back_cost: float = Field(default=0.0, ge=0, le=1e9)
    """What it costs to win one customer back, in units of the currency. The table `win_back` leaves
    out who is not worth it.
    """
    service_costs: dict[str, Annotated[float, Field(ge=0, le=1e9)]] = {}
    """What a contact costs, in units of the currency, by the kind of a row of feedback or
    interactions, such as `{ complaint = 12.0, call = 4.0 }`: for the table `cost_to_serve`.
    """
    rfm_cuts: dict[Literal["recency_days", "frequency", "monetary"], list[float]] = {}
    """Where the scores of `rfm` begin, four rising numbers each, such as
    `{ frequency = [2, 3, 5, 10] }`: a customer with 10 or more has score 5. Of `recency_days` the
    fewest days have score 5. What is not named is cut into fifths of the customers.
    """
    tiers: dict[str, float | list[float]] = Field(default=CURRY_TIERS, min_length=1, max_length=12)
    """Tiers of customers by their money of the last 365 days: shares from the top that sum to 1, or
    ranges [from, below] that neither overlap nor leave a gap, such as
    `{ gold = [1000, inf], silver = [200, 1000], others = [-inf, 200] }`.
    """

    @property
    def reads_margins(self) -> bool:
        """Whether money is the margin of each row, instead of a share of its amount."""
        return self.margin == MARGIN_COLUMN

    @property
    def margin_share(self) -> float:
        """The factor of money; 1 where the margin of each row is the money."""
        return 1.0 if self.margin == MARGIN_COLUMN else self.margin

    @field_validator("margin", mode="before")
    @classmethod
    def _check_margin(cls, margin: Any) -> Any:
        if margin == MARGIN_COLUMN or _is_share(margin):
            return margin
        raise ValueError(
            f'margin is a share over 0 and up to 1, or "{MARGIN_COLUMN}": the column margin of '
            "transactions"
        )

    @field_validator("rfm_cuts")
    @classmethod
    def _check_rfm_cuts(cls, cuts: dict[str, list[float]]) -> dict[str, list[float]]:
        return check_rfm_cuts(cuts)

    @field_validator("tiers")
    @classmethod
    def _check_tiers(cls, tiers: dict[str, float | list[float]]) -> dict[str, float | list[float]]:
        return check_tiers(tiers)


CHURN_MODELS = ("blend", "recency", "RFM logistic")
BoosterSetting = Literal[
    "max_leaves", "learning_rate", "min_child_weight", "reg_lambda", "subsample", "colsample_bytree"
]
Strength = Annotated[float, Field(gt=0, le=1e6)]
# The smallest and largest values that a release may hold.
BOOSTER_LIMITS = {
    "max_leaves": (2, 4096),
    "learning_rate": (0.001, 1),
    "min_child_weight": (0.001, 1e9),
    "reg_lambda": (0.001, 1e9),
    "subsample": (0.05, 1),
    "colsample_bytree": (0.01, 1),
}


def _whole(value: float | list[float]) -> int | list[int]:
    return [int(each) for each in value] if isinstance(value, list) else int(value)


class Training(Section):
    evaluate: list[date] = []
    """Evaluation dates. The model is evaluated on them without having been trained on them; the
    release is then fitted on all dates. If not set: the newest date whose outcomes are complete.
    """
    step_days: Days = 30
    """Days from one training date to the next."""
    history_days: Days | None = None
    """The smallest number of days of data before a training date. If not set: the horizon."""
    max_dates: int = Field(default=12, ge=1, le=60)
    """The largest number of training dates; the newest are used."""
    trials: int = Field(default=1, ge=1, le=10_000)
    """The search of a model ends after this number of trials; the first is the settings that were
    good everywhere. On four data sets more trials changed the log loss by less than .0005
    (docs/decisions/020). Equal data give equal models, on a busy machine too.
    """
    seconds: float = Field(default=600, gt=0, le=86_400)
    """A guard: the searches of both models end after this number of seconds together, even if
    `trials` are left. The result says so, because another run may then find another model.
    """
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7
    """Seed of every random draw."""
    contacted: Literal["stand_in", "as_they_are"] = "stand_in"
    """A contact of a campaign within the outcome window may have changed the outcome. `stand_in`:
    where the arms of the campaign were drawn, customers who were held out stand in for those who
    were contacted, so that the risk is that of being left alone. `as_they_are`: rows stay as they
    are, and the risk is that of being treated as they were.
    """
    churn_model: str = "blend"
    """`blend` searches for the best model. `recency` and `RFM logistic` are plain logistic
    regressions on one column or on four, for the case that the comparison with baselines recommends
    them. A name of `estimators` trains that one alone.
    """
    estimators: str | None = None
    """A Python file of your own classifiers, such as `my_models.py`: scikit-learn's, XGBoost's,
    LightGBM's, CatBoost's, or a pipeline. Each is fitted on the same rows and compared; one that a
    release can hold joins the blend where that foretells better
    (docs/how-to/bring-your-own-model.md).
    """

    boosters: dict[BoosterSetting, float | list[float]] = {}
    """Settings of the boosters in place of ours, such as
    `{ max_leaves = 31, learning_rate = [0.03, 0.3] }`: a number is fixed, a list [low, high] is
    searched in `trials` trials.
    """
    ridge: dict[Literal["strengths"], list[Strength]] = {}
    """`{ strengths = [0.001, 0.01, 0.1] }`: the strengths of the ridge to choose from, in place of
    ours (scikit-learn's C: the larger, the less it shrinks).
    """

    @field_validator("boosters")
    @classmethod
    def _check_boosters(cls, boosters: dict[str, Any]) -> dict[str, Any]:
        for name, value in boosters.items():
            low, high = BOOSTER_LIMITS[name]
            ends = value if isinstance(value, list) else [value, value]
            if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
                raise ValueError(f"{name} is a number, or [low, high], from {low:g} to {high:g}")
            if name == "max_leaves" and any(end != int(end) for end in ends):
                raise ValueError("max_leaves is a whole number, or two")
        return {
            name: _whole(value) if name == "max_leaves" else value
            for name, value in boosters.items()
        }

    @field_validator("ridge")
    @classmethod
    def _check_ridge(cls, ridge: dict[str, list[float]]) -> dict[str, list[float]]:
        if any(not strengths for strengths in ridge.values()):
            raise ValueError("strengths has at least one number")
        return ridge

    @model_validator(mode="after")
    def _check_churn_model(self) -> Training:
        if self.estimators is None and self.churn_model not in CHURN_MODELS:
            names = ", ".join(CHURN_MODELS)
            raise ValueError(f"churn_model is one of {names}, or a name of your `estimators`")
        return self


class Engine(Section):
    name: Literal["duckdb", "spark"] = "duckdb"
    """Where features and scores of a kept history are computed: on this machine, or in the tasks of
    Spark, each for the customers of one bucket, with equal bits ([Scaling](scaling.md)). `spark`
    needs `[history] folder` and the extra `spark`.
    """
    memory: str = Field(default="4GB", pattern=r"^\d+(MB|GB)$")
    """Memory limit of the query engine, like 512MB or 4GB. Beyond it, the engine writes to disk."""
    threads: int = Field(default=2, ge=1, le=256)
    """Threads of the query engine. No result depends on their number."""
