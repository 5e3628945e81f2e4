"""Campaigns as they were decided: `decisions/campaign=<name>/` in the home folder.

`plan.parquet` has a row for each customer of the campaign, both arms, written before anybody is
contacted; `manifest.json` says when and by what it was decided, with the hash of the plan. A
campaign that was decided stays as it is: who has been contacted cannot be drawn again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.errors import BadSetting, ReleaseRefused, StoreFailed
from features.core.file_hashes import hash_file
from features.core.settings import home
from features.core.staged_files import (
    flush,
    flush_folder,
    replace_folder,
    staged_file,
    staging_folder,
)

PLAN, MANIFEST = "plan.parquet", "manifest.json"
HELD_OUT = "held_out"  # the arm that is not contacted
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
# The columns that `treatments` of the contract has, and what is measured by.
SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "occurred_at": pa.int64(),
        "recorded_at": pa.int64(),
        "campaign": pa.string(),
        "arm": pa.string(),
        "action": pa.string(),
        "channel": pa.string(),
        "cost": pa.float64(),
        "stage": pa.string(),
        "tier": pa.string(),
        "stratum": pa.string(),
        "eligible": pa.bool_(),
        "risk": pa.float64(),
        "value": pa.float64(),
        "expected_profit": pa.float64(),
        "expected_profit_low": pa.float64(),
        "expected_profit_high": pa.float64(),
    }
)


ROWS_TAKEN_OUT = "forgotten_rows"  # in the manifest of a campaign, or a run


@dataclass(frozen=True)
class Campaign:
    """A campaign that was decided: its plan, and what its manifest says."""

    name: str
    plan: pa.Table
    about: Mapping[str, Any]

    @property
    def as_of(self) -> int:
        """The instant of the scores it was decided by, in µs UTC."""
        return int(self.about["as_of"])


def check_campaign_name(name: str) -> str:
    """BadSetting for a name that no folder and no column can have."""
    if NAME.fullmatch(name) is None:
        raise BadSetting(
            where="--campaign",
            got="a name with other signs, or too long",
            rule="A campaign's name has small letters, digits, _ and -, at most 64.",
            fix="For example: --campaign spring-2025.",
            values=[name],
        )
    return name


def campaigns_folder() -> Path:
    return home() / "decisions"


def write_campaign(name: str, plan: pa.Table, about: Mapping[str, Any]) -> bool:
    """Write a campaign; False where the same plan is there already.

    BadSetting where another plan of this name is there: who was contacted stays contacted.
    StoreFailed where it cannot be written.
    """
    folder = campaigns_folder() / f"campaign={name}"
    if folder.exists():
        before = read_campaign(name)
        if before.plan.equals(plan):
            return False
        if before.about.get(ROWS_TAKEN_OUT):
            raise BadSetting(
                where="--campaign",
                got=f"'{name}', of whose customers some were forgotten since it was decided",
                rule="A campaign is decided once, before anybody is contacted; without the "
                "forgotten it would be decided otherwise.",
                fix="There is nothing to do: the campaign stands, without them. To see what would "
                "be decided today: --dry-run.",
            )
        raise BadSetting(
            where="--campaign",
            got=f"'{name}', which was decided otherwise",
            rule="A campaign is decided once, before anybody is contacted.",
            fix=f"Give another name, such as --campaign {name}-2. If nobody was contacted yet, "
            f"remove the folder decisions/campaign={name} of the home folder.",
        )
    with home_errors():
        campaigns_folder().mkdir(parents=True, exist_ok=True)
        with staging_folder(campaigns_folder()) as staged:
            staged.chmod(0o700)
            pq.write_table(plan, staged / PLAN)
            manifest = {**about, "campaign": name, "sha256": hash_file(staged / PLAN)}
            text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
            (staged / MANIFEST).write_text(text, encoding="utf-8")
            flush_folder(staged)
            replace_folder(staged, folder)
            flush(campaigns_folder())
    return True


def read_campaign(name: str) -> Campaign:
    """A campaign; ReleaseRefused where it is missing, or not as it was written."""
    folder = campaigns_folder() / f"campaign={check_campaign_name(name)}"
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if about["sha256"] != hash_file(folder / PLAN):
            raise _refused(name, "a plan that is not as it was written")
        return Campaign(name, pq.read_table(folder / PLAN).cast(SCHEMA), about)
    except FileNotFoundError as error:
        raise _refused(name, "no campaign of this name") from error
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _refused(name, "files that cannot be read") from error


def list_campaigns() -> list[str]:
    """The names of the campaigns that were decided, by name."""
    folders = campaigns_folder().glob("campaign=*")
    names = (path.name.removeprefix("campaign=") for path in folders)
    # Another name is no campaign of `decide`: a copy that somebody made.
    return sorted(name for name in names if NAME.fullmatch(name))


def read_plans() -> pa.Table:
    """The rows of all campaigns, in the order of their names."""
    plans = [read_campaign(name).plan for name in list_campaigns()]
    return pa.concat_tables([SCHEMA.empty_table(), *plans])


def record_look(name: str, complete: int) -> None:
    """Remember that somebody looked before all outcomes were complete. StoreFailed."""
    with home_errors():
        _looks_folder().mkdir(parents=True, exist_ok=True)
        with staged_file(_looks_folder() / f"{name}.json") as staged:
            staged.write_text(json.dumps({"complete": complete}), encoding="utf-8")


def was_looked_at(name: str) -> bool:
    """Whether somebody measured this campaign before all outcomes were complete."""
    return (_looks_folder() / f"{name}.json").is_file()


def _looks_folder() -> Path:
    return campaigns_folder() / "looks"


@contextlib.contextmanager
def home_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            where="decisions in the home folder",
            got=error.strerror or "a write that failed",
            rule="Campaigns are kept in LIFECYCLE_HOME.",
            fix="Free disk space or correct the folder's rights; run again.",
        ) from error


def _refused(name: str, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=f"decisions/campaign={name}",
        got=got,
        rule="A campaign is read as `lifecycle decide` wrote it.",
        fix="`lifecycle measure` without --campaign names those that were decided.",
    )
