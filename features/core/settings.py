"""Settings: one validated `lifecycle.toml`, and the environment variables (read only here).

Unknown keys are refused with a suggestion. Paths are relative to the folder of the toml;
`${LIFECYCLE_DATA}` expands.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from features.core import one_row_each
from features.core.action_schema import Action, Decisions, check_action_names
from features.core.config_schema import (
    MINOR_DIGITS,
    Activity,
    Business,
    Churn,
    Consent,
    Contract,
    Engine,
    Features,
    FileName,
    Satisfaction,
    Section,
    Stages,
    Time,
    Training,
    Value,
    curve_horizons,
)
from features.core.contract import ALL_TABLES, FURTHER_TABLES
from features.core.errors import (
    BadSetting,
    FileMissing,
    TimestampsMissing,
    UnknownKey,
    UsageError,
    suggestion,
)
from features.core.history_schema import KeptHistory
from features.core.instants import DAY_US, HOUR_US
from features.core.retention_schema import Retention
from features.core.setting_changes import OPTION, change_mapping
from features.core.target_schema import Target, refuse_target_names, target_lines, target_place

TABLES = tuple(ALL_TABLES)
LOW_FREQUENCY, LOW_FREQUENCY_HORIZON_DAYS, LOW_FREQUENCY_HORIZONS = "low-frequency", 365, 3


class BrokenRule(ValueError):
    """A rule between several keys that does not hold, and what to type."""

    def __init__(self, rule: str, fix: str) -> None:
        super().__init__(rule)
        self.rule, self.fix = rule, fix


class Settings(Section):
    """One validated `lifecycle.toml`; `folder` is the folder it is in."""

    business: Business = Business()
    files: dict[FileName, str] = Field(default_factory=dict)
    """A name for each file that the SELECTs read: CSV and other text with separators, JSON, JSON
    lines, Parquet, xlsx, xls, ods, also in gz or zip; or a folder of parts of one table. A sheet of
    a workbook or a file in a zip is named after `#`: `"shop.xlsx#Orders"`. Columns are text, except
    in Parquet; [Files](data.md#files) says how. Paths are relative to the configuration's folder;
    `${LIFECYCLE_DATA}` expands.
    """
    tables: dict[
        Literal[
            "customers",
            "transactions",
            "interactions",
            "feedback",
            "contracts",
            "treatments",
            "costs",
            "leads",
            "referrals",
            "deliveries",
        ],
        str,
    ]
    """One SELECT per table. Its columns are those of the [contract](contract.md). Equal files give
    equal rows: `now()`, `random()`, samples and the like are refused. It ends within 10 minutes.
    """
    activity: Activity = Activity()
    churn: Churn = Churn()
    time: Time = Time()
    stages: Stages = Stages()
    contract: Contract = Contract()
    history: KeptHistory = KeptHistory()
    retention: Retention = Retention()
    features: Features = Features()
    consent: Consent = Consent()
    satisfaction: Satisfaction = Satisfaction()
    value: Value = Value()
    training: Training = Training()
    engine: Engine = Engine()
    targets: dict[str, Target] = Field(default_factory=dict)
    """Own questions besides churn. A label is answered by a column `p_<name>`, an amount by
    `<name>_expected`, `<name>_q10`, `<name>_q50` and `<name>_q90`; [Targets](targets.md) has
    examples. Each has a `label` or an `amount`.
    """
    actions: dict[str, Action] = Field(default_factory=dict)
    """What may be done for customers, and what it costs, by name; [Campaigns](campaigns.md) has
    examples. `lifecycle decide` chooses who gets which.
    """
    decisions: Decisions = Decisions()
    folder: Path = Path()
    # Where each target is in the file, for messages; empty where the settings are of no file.
    _target_lines: dict[str, int] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_built_terms(cls, mapping: Any) -> Any:
        """Terms that are built from payments are a table too, without a SELECT of its own."""
        if not isinstance(mapping, dict):
            return mapping
        contract, tables = mapping.get("contract"), mapping.get("tables")
        if not (isinstance(contract, dict) and isinstance(tables, dict)):
            return mapping
        if contract.get("terms_from") != "payments" or "contracts" in tables:
            return mapping
        return {**mapping, "tables": {**tables, "contracts": "built from payments"}}

    @model_validator(mode="before")
    @classmethod
    def _fill_horizon(cls, values: Any) -> Any:
        """The horizon of businesses whose customers come back seldom, where none is given."""
        business = values.get("business") if isinstance(values, dict) else None
        if isinstance(business, Business):
            business = business.model_dump()
        churn = values.get("churn", {}) if isinstance(values, dict) else {}
        seldom = isinstance(business, dict) and business.get("archetype") == LOW_FREQUENCY
        if seldom and isinstance(churn, dict) and "horizon_days" not in churn:
            return {**values, "churn": {**churn, "horizon_days": LOW_FREQUENCY_HORIZON_DAYS}}
        return values

    @field_validator("actions")
    @classmethod
    def _check_action_names(cls, actions: dict[str, Action]) -> dict[str, Action]:
        return check_action_names(actions)

    @model_validator(mode="after")
    def _check_tables(self) -> Settings:
        if set(self.tables) == {"customers"}:
            raise TimestampsMissing(
                where="[tables]",
                got="customers alone, and no table of events",
                rule=one_row_each.RULE,
                fix=one_row_each.FIX,
            )
        for rule, fix in self._broken_rules():
            raise BrokenRule(rule, fix)
        return self

    def _broken_rules(self) -> Iterator[tuple[str, str]]:
        """Rules between sections that do not hold, each with what to type."""
        table, tables = self.activity.table, self.tables
        if table not in tables:
            yield (
                f"[activity] table = '{table}' has a SELECT under [tables]: customers without "
                "events cannot be scored or audited.",
                f'Write under [tables]: {table} = "SELECT … FROM …".',
            )
        if self.business.archetype == "contractual" and "contracts" not in tables:
            yield (
                "A contractual business has a SELECT for contracts under [tables].",
                'Write under [tables]: contracts = "SELECT … FROM …". Or, where only payments are '
                'known, under [contract]: terms_from = "payments".',
            )
        if self.built_terms and "transactions" not in tables:
            yield (
                "[contract] terms_from = 'payments' reads transactions, which have no SELECT under "
                "[tables].",
                'Write under [tables]: transactions = "SELECT … FROM …".',
            )
        of_customers = {
            "[contract] constant_attributes": self.contract.constant_attributes,
            "[features] sensitive_allowed": self.features.sensitive_allowed,
            "[consent] train and score": self.consent.train or self.consent.score,
        }
        for key, is_set in of_customers.items():
            if is_set and "customers" not in tables:
                yield (
                    f"{key} read columns of customers, which has no SELECT under [tables].",
                    f'Write under [tables]: customers = "SELECT … FROM …". Or remove {key}.',
                )
        if self.features.treatments and "treatments" not in tables:
            yield (
                "[features] treatments reads the table treatments, which has no SELECT under "
                "[tables].",
                'Write under [tables]: treatments = "SELECT … FROM …". Or remove '
                "[features] treatments.",
            )
        if self.value.reads_margins and (self.contractual or "transactions" not in tables):
            yield (
                '[value] margin = "column" reads the margin of purchases, a column of transactions'
                + (
                    ": with contracts money is the price of terms, which have none."
                    if self.contractual
                    else ", which have no SELECT under [tables]."
                ),
                "Write a share under [value], such as: margin = 0.4",
            )
        grace = self.churn.grace_days
        if grace > self.churn.label_latency_days:
            yield (
                "[churn] label_latency_days is at least grace_days: a renewal within grace must be "
                "known.",
                f"Write under [churn]: label_latency_days = {grace}",
            )

    @property
    def eligible_days(self) -> int:
        horizons = LOW_FREQUENCY_HORIZONS if self.business.archetype == LOW_FREQUENCY else 1
        return self.churn.eligible_days or horizons * self.churn.horizon_days

    @property
    def curve_horizons(self) -> tuple[int, ...]:
        return curve_horizons(self.time.horizons_days, self.churn.horizon_days)

    @property
    def money_horizons(self) -> tuple[int, ...]:
        """The days from as_of on for which money is learned: the horizon, and those of the curve
        after it, up to [value] days.
        """
        horizon = self.churn.horizon_days
        later = (days for days in self.curve_horizons if horizon < days <= self.value.days)
        return (horizon, *later)

    @property
    def contractual(self) -> bool:
        return self.business.archetype == "contractual"

    @property
    def built_terms(self) -> bool:
        """Whether terms are built from payments, instead of read."""
        return self.contract.terms_from == "payments"

    @property
    def selects(self) -> dict[str, str]:
        """The SELECTs that are read, by table: none for terms that are built from payments."""
        return {
            name: select
            for name, select in self.tables.items()
            if not (name == "contracts" and self.built_terms)
        }

    def target_place(self, name: str) -> str:
        """Where the SELECT of a target is, in messages: `line 41, [targets.upgrade] label`."""
        return target_place(name, self._target_lines, key=self.targets[name].key)

    @property
    def zone(self) -> str:
        return self.business.zone or "UTC"

    @property
    def outcome_window_us(self) -> int:
        """The time from as_of until its outcome is known, in µs: horizon + label latency."""
        return (self.churn.horizon_days + self.churn.label_latency_days) * DAY_US

    @property
    def minor_digits(self) -> int:
        return MINOR_DIGITS.get(self.business.currency, 2)

    def arrives_after_us(self, table: str) -> int:
        """The time from an event until its row is recorded, in µs, for rows without recorded_at."""
        return round(self.contract.arrives_after_hours.get(table, 0) * HOUR_US)

    def definitions(self) -> dict[str, Any]:
        """What a release and a run must agree on, as JSON.

        All sections but [files], [history], [retention], [training], [engine], [actions] and
        [decisions], without the tables that no feature reads, without who may be listed, without
        the cuts and tiers of tables that no model reads, and without what says how new the data
        are, which changes every night.
        """
        read = {"treatments"} if self.features.treatments else set()
        excluded: dict[str, Any] = {
            **dict.fromkeys(("files", "folder", "training", "engine", "history"), True),
            **dict.fromkeys(("actions", "decisions", "retention"), True),
            "value": {"rfm_cuts", "service_costs", "tiers", "win_back_cost"},
            "tables": set(FURTHER_TABLES) - read,
            "consent": {"list"},
            "contract": {"data_until", "fresh_until"},
        }
        if not read:  # a release of before this key is as it always was
            excluded["features"] = {"treatments"}
        if not self.targets:  # a release of a business without targets is as it always was
            excluded["targets"] = True
        return self.model_dump(mode="json", exclude=excluded)


def load_settings(path: Path, changes: Mapping[str, Any] | None = None) -> Settings:
    """Read and validate one `lifecycle.toml`, with the values of the dotted keys `changes` set.

    Raises FileMissing without the file, UsageError where it is no TOML, and UnknownKey or
    BadSetting with the key, the rule and a suggestion.
    """
    path = Path(path)
    if not os.path.isfile(path):  # False for a name too long, where Path.is_file is an OSError
        raise FileMissing(
            where=str(path),
            got="no such file",
            rule="-c names a lifecycle.toml.",
            fix="Write one with `lifecycle init FILES…`, or give the path of an existing one.",
        )
    try:
        text = path.read_text(encoding="utf-8")
        mapping = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            where=str(path),
            got=f"not valid TOML: {error}",
            rule="The configuration is TOML in UTF-8.",
            fix="Correct that line.",
        ) from error
    where = f"{path.name} with {OPTION}" if changes else path.name
    return settings_from_mapping(
        change_mapping(mapping, changes or {}),
        folder=path.resolve().parent,
        where=where,
        lines=target_lines(text),
    )


def settings_from_mapping(
    mapping: dict[str, Any],
    *,
    folder: Path,
    where: str,
    lines: Mapping[str, int] | None = None,
) -> Settings:
    """Settings from a parsed TOML, which errors call `where`; `lines`: those of its targets.

    Raises UnknownKey or BadSetting for the first error.
    """
    _refuse_nul(mapping, where)
    refuse_target_names(mapping.get("targets"), where=where, lines=lines or {})
    try:
        settings = Settings.model_validate({**mapping, "folder": folder})
        settings._target_lines = dict(lines or {})
        return settings
    except ValidationError as error:
        raise _usage_error(error.errors()[0], where) from error


def _refuse_nul(mapping: dict[str, Any], where: str) -> None:
    """BadSetting for a text with a NUL character, which ends a path or a SQL text unseen."""
    remaining: list[tuple[tuple[str, ...], Any]] = [((), mapping)]
    while remaining:
        path, value = remaining.pop()
        if isinstance(value, dict):
            remaining += [((*path, str(key)), each) for key, each in value.items()]
        elif isinstance(value, list | tuple):
            remaining += [(path, each) for each in value]
        for text in (value, *path[-1:]):
            if isinstance(text, str) and "\0" in text:
                raise BadSetting(
                    where=f"{where} [{'.'.join(path)}]".replace("\0", "\\u0000"),
                    got="a text with a NUL character",
                    rule="Names, paths and SELECTs have no NUL character.",
                    fix="Remove \\u0000 from this text.",
                    values=[text],
                )


def _usage_error(first: ErrorDetails, where: str) -> UsageError:
    path = [str(part) for part in first["loc"]]
    # A wrong table name is a wrong key of a dict, which pydantic reports with "[key]" at the end.
    is_table_name = first["type"] == "literal_error" and path[-1] == "[key]"
    path = path[:-1] if is_table_name else path
    place = f"{where} [{'.'.join(path)}]" if path else where
    if is_table_name and path[0] != "tables":
        return _unknown_name(path, place, re.findall(r"'([^']+)'", first["ctx"]["expected"]))
    if is_table_name or first["type"] == "extra_forbidden":
        return _unknown_key(path, place)
    broken = first.get("ctx", {}).get("error")
    if isinstance(broken, BrokenRule):
        return BadSetting(
            where=place, got="a rule that is broken", rule=broken.rule, fix=broken.fix
        )
    return BadSetting(
        where=place,
        got="a value that breaks its rule",
        rule=first["msg"].removeprefix("Value error, ") + ".",
        fix="Change this value.",
        values=[] if isinstance(first["input"], dict) else [first["input"]],
    )


def _unknown_name(path: list[str], place: str, known: Sequence[str]) -> UnknownKey:
    return UnknownKey(
        where=place,
        got=f"unknown key '{path[-1]}'",
        rule="Only known keys are allowed; none is ignored.",
        fix=suggestion(path[-1], known) or f"Known here: {', '.join(known)}.",
    )


def _unknown_key(path: list[str], place: str) -> UnknownKey:
    section = Settings.model_fields.get(path[0]) if len(path) > 1 else None
    model = getattr(section, "annotation", None)
    fields = getattr(model, "model_fields", Settings.model_fields)
    known = TABLES if path[0] == "tables" else tuple(key for key in fields if key != "folder")
    return _unknown_name(path, place, known)


def home() -> Path:
    """LIFECYCLE_HOME, the folder of `mlruns/` and `scores/`; the working folder if not set."""
    return Path(os.environ.get("LIFECYCLE_HOME") or Path.cwd()).resolve()


def data_folder() -> Path:
    """LIFECYCLE_DATA, the folder of the public data; if not set, `../shared/data`."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("LIFECYCLE_DATA") or default)


def tracking_address() -> str | None:
    """MLFLOW_TRACKING_URI; None if not set."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def api_keys() -> tuple[str, ...]:
    """The keys in LIFECYCLE_API_KEYS, separated by commas there; empty if not set."""
    keys = os.environ.get("LIFECYCLE_API_KEYS") or ""
    return tuple(key.strip() for key in keys.split(",") if key.strip())


def log_level() -> str:
    """LIFECYCLE_LOG in lower case: 'info' or 'debug'; '' if not set."""
    return (os.environ.get("LIFECYCLE_LOG") or "").lower()


def spark_master() -> str | None:
    """LIFECYCLE_SPARK_MASTER, where Spark runs, such as `spark://host:7077`; None if not set."""
    return os.environ.get("LIFECYCLE_SPARK_MASTER") or None


def workers() -> int:
    """LIFECYCLE_WORKERS, the number of processes of the service; 1 if not set."""
    count = os.environ.get("LIFECYCLE_WORKERS") or "1"
    if not count.isdecimal() or not 1 <= int(count) <= 64:
        raise BadSetting(
            where="LIFECYCLE_WORKERS",
            got="not a number of processes",
            rule="It is a whole number from 1 to 64.",
            fix="Set it to the number of processor cores the service may use.",
            values=[count],
        )
    return int(count)


def file_path(settings: Settings, entry: str) -> Path:
    """The absolute path of an entry under [files]; relative paths start at the toml's folder."""
    return (settings.folder / entry.replace("${LIFECYCLE_DATA}", str(data_folder()))).resolve()
