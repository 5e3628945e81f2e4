"""What to do is `lifecycle.toml`, validated whole; where things are is the environment, read here and nowhere else.

Unknown keys are refused with a suggestion. Paths resolve against the toml's folder; `${LIFECYCLE_DATA}` expands.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from features.core.config_schema import (
    MINOR_DIGITS,
    Activity,
    Business,
    Churn,
    Contract,
    Engine,
    Features,
    Satisfaction,
    Section,
    Stages,
    Training,
)
from features.core.errors import BadSetting, FileMissing, UnknownKey, UsageError, suggestion
from features.core.instants import DAY_US, HOUR_US

TABLES = ("customers", "transactions", "interactions", "feedback", "contracts")


class Settings(Section):
    """One validated `lifecycle.toml`; `folder` is where it lies."""

    business: Business = Business()
    files: dict[str, str] = Field(default_factory=dict)
    """A name for each file the SELECTs read: CSV or Parquet. Paths from the configuration's folder; `${LIFECYCLE_DATA}` expands."""
    tables: dict[Literal["customers", "transactions", "interactions", "feedback", "contracts"], str]
    """One SELECT a table, whose columns are those of the [contract](contract.md)."""
    activity: Activity = Activity()
    churn: Churn = Churn()
    stages: Stages = Stages()
    contract: Contract = Contract()
    features: Features = Features()
    satisfaction: Satisfaction = Satisfaction()
    training: Training = Training()
    engine: Engine = Engine()
    folder: Path = Path()

    @model_validator(mode="after")
    def _tables_fit(self) -> Settings:
        if self.activity.table not in self.tables:
            raise ValueError(
                f"[activity] table = '{self.activity.table}' has no SELECT under [tables]; customers without events cannot be scored or audited"
            )
        if self.business.archetype == "contractual" and "contracts" not in self.tables:
            raise ValueError("archetype 'contractual' needs a SELECT for contracts under [tables]")
        if self.contract.constant_attributes and "customers" not in self.tables:
            raise ValueError(
                "[contract] constant_attributes are columns of customers, which has no SELECT under [tables]; customers without events cannot be scored or audited"
            )
        if self.churn.grace_days > self.churn.label_latency_days:
            raise ValueError(
                "label_latency_days must cover grace_days: a renewal in grace must be known"
            )
        return self

    @property
    def eligible_days(self) -> int:
        return self.churn.eligible_days or self.churn.horizon_days

    @property
    def contractual(self) -> bool:
        return self.business.archetype == "contractual"

    @property
    def zone(self) -> str:
        return self.business.zone or "UTC"

    @property
    def outcome_window_us(self) -> int:
        """From as_of until its outcome is known: the horizon and the label latency, in µs."""
        return (self.churn.horizon_days + self.churn.label_latency_days) * DAY_US

    @property
    def minor_digits(self) -> int:
        return MINOR_DIGITS.get(self.business.currency, 2)

    def arrives_after_us(self, table: str) -> int:
        """How long after an event its row is recorded where the row does not say, in µs."""
        return round(self.contract.arrives_after_hours.get(table, 0) * HOUR_US)

    def definitions(self) -> dict[str, Any]:
        """What a release and a run must agree on: everything but where files lie, how is trained, and what the engine may take."""
        return self.model_dump(mode="json", exclude={"files", "folder", "training", "engine"})


def load(path: Path) -> Settings:
    """Read and validate one `lifecycle.toml`; UsageError names the key, the rule and a suggestion."""
    path = Path(path)
    if not path.is_file():
        raise FileMissing(
            where=str(path),
            got="no such file",
            rule="-c names a lifecycle.toml.",
            fix="Write one with `lifecycle init FILES…`, or name an existing one.",
        )
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            where=str(path),
            got=f"not valid TOML: {error}",
            rule="The configuration is TOML in UTF-8.",
            fix="Mend the line named.",
        ) from error
    return from_mapping(stated, folder=path.resolve().parent, where=path.name)


def from_mapping(stated: dict[str, Any], *, folder: Path, where: str) -> Settings:
    try:
        return Settings.model_validate({**stated, "folder": folder})
    except ValidationError as error:
        raise _refusal(error.errors()[0], where) from error


def _refusal(first: Any, where: str) -> UsageError:
    place = [str(part) for part in first["loc"]]
    at = f"{where} [{'.'.join(place)}]"
    if first["type"] == "extra_forbidden" or (
        first["type"] == "literal_error" and place[-1] == "[key]"
    ):
        key = place[-1] if place[-1] != "[key]" else place[-2]
        section = Settings.model_fields.get(place[0]) if len(place) > 1 else None
        model = getattr(section, "annotation", None)
        known = (
            TABLES
            if place[0] == "tables"
            else getattr(model, "model_fields", Settings.model_fields)
        )
        return UnknownKey(
            where=at,
            got=f"unknown key '{key}'",
            rule="Every key is known; nothing is ignored.",
            fix=suggestion(key, known)
            or f"known here: {', '.join(k for k in known if k != 'folder')}.",
        )
    return BadSetting(
        where=at,
        got="a value outside its rule",
        rule=first["msg"] + ".",
        fix="Change the value named.",
        values=[] if isinstance(first["input"], dict) else [first["input"]],
    )


def home() -> Path:
    """LIFECYCLE_HOME, where `mlruns/` and `scores/` lie; the working folder if unset."""
    return Path(os.environ.get("LIFECYCLE_HOME") or Path.cwd()).resolve()


def data_folder() -> Path:
    """LIFECYCLE_DATA, where public data lies; `../shared/data` beside the checkout if unset."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("LIFECYCLE_DATA") or beside)


def tracking_address() -> str | None:
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def api_keys() -> tuple[str, ...]:
    """The service's keys as LIFECYCLE_API_KEYS states them, comma separated; empty if unset."""
    stated = os.environ.get("LIFECYCLE_API_KEYS") or ""
    return tuple(key.strip() for key in stated.split(",") if key.strip())


def log_level() -> str:
    """LIFECYCLE_LOG: 'info' and 'debug' say more; '' if unset."""
    return (os.environ.get("LIFECYCLE_LOG") or "").lower()


def workers() -> int:
    """LIFECYCLE_WORKERS: how many processes answer; 1 if unset."""
    stated = os.environ.get("LIFECYCLE_WORKERS") or "1"
    if not stated.isdecimal() or not 1 <= int(stated) <= 64:
        raise BadSetting(
            where="LIFECYCLE_WORKERS",
            got="not a number of processes",
            rule="It is a whole number from 1 to 64.",
            fix="Set it to the cores to be used.",
            values=[stated],
        )
    return int(stated)


def file_path(settings: Settings, stated: str) -> Path:
    """The path a `[files]` entry names, resolved against the toml's folder."""
    return (settings.folder / stated.replace("${LIFECYCLE_DATA}", str(data_folder()))).resolve()
