"""What a person calls a run: its name and tags, which MLflow stores as they were typed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from features.core.errors import BadSetting
from training.tracking.pending import RunRecord

LONGEST_NAME, LONGEST_KEY, LONGEST_TAG, MOST_TAGS = 100, 50, 200, 20
# The keys of a run's own labels, so that a list can tell them from the other tags.
LABELS = "lifecycle.labels"
# Tags that every run has or may have; a label of this name would hide what they say.
OWN_TAGS = frozenset(
    {
        *("best_baseline", "best_trial", "data_digest", "estimator", "gate"),
        *("headline_population", "servable", "target"),
        *("purpose", "recommended", "release", "status", "trained_as_of", "verdict"),
    }
)
OWN_PREFIXES = (
    *("lifecycle.", "mlflow.", "version.", "gate.", "promoted"),
    *("configuration.", "configuration_", "code."),
)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class RunLabels:
    """The name of a run (None: the name of its job) and its tags; checked by `read_labels`."""

    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def mark_record(self, record: RunRecord) -> RunRecord:
        """The record with this name and these tags; what the record says itself stays.

        A record with a name of its own (of a target, an estimator) has both.
        """
        if not self.tags and self.name is None:
            return record
        keys = {LABELS: json.dumps(sorted(self.tags))} if self.tags else {}
        tags = {**self.tags, **record.tags, **keys}
        names = [name for name in (self.name, record.name) if name]
        return replace(record, name=": ".join(names) or None, tags=tags)


UNLABELLED = RunLabels()


def read_labels(
    name: str | None = None, tags: Iterable[str] | Mapping[str, object] | None = None
) -> RunLabels:
    """The labels of a run from its name and tags, as `KEY=VALUE` texts or as a mapping.

    BadSetting for a name or value that is empty, too long or not printable, for a key of other
    characters than A-Z a-z 0-9 _ . -, a key that the runs use themselves, or one given twice.

    >>> read_labels("shorter horizon", ["team=crm"])
    RunLabels(name='shorter horizon', tags={'team': 'crm'})
    """
    label = None if name is None else _read_text("--name", name, LONGEST_NAME)
    given = list(tags.items()) if isinstance(tags, Mapping) else [_split(one) for one in tags or ()]
    if len(given) > MOST_TAGS:
        raise _refusal("--tag", f"{len(given)} tags", f"A run has at most {MOST_TAGS}.")
    checked: dict[str, str] = {}
    for key, value in given:
        _check_key(key)
        if key in checked:
            raise _refusal("--tag", "a key twice", "Each key has one value.", key)
        checked[key] = _read_text(f"--tag {key}", value, LONGEST_TAG)
    return RunLabels(label, checked)


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise _refusal("--tag", "no KEY=VALUE", "A tag is a key, =, and the value.", text)
    return key.strip(), value


def _check_key(key: object) -> None:
    if not isinstance(key, str) or len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        rule = (
            f"A key begins with a letter, has letters, digits, _ . or -, and at most {LONGEST_KEY}."
        )
        raise _refusal("--tag", "a key that cannot be used", rule, key)
    if key in OWN_TAGS or key.startswith(OWN_PREFIXES):
        raise _refusal("--tag", "a key that every run has already", "Take another word.", key)


def _read_text(where: str, value: object, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text and len(text) <= longest and text.isprintable():
        return text
    rule = f"It is text of 1 to {longest} printable characters, without a line break."
    got = "a text that is too long" if len(text) > longest else "no such text"
    raise _refusal(where, got, rule, value)


def _refusal(where: str, got: str, rule: str, *values: object) -> BadSetting:
    return BadSetting(
        where=where,
        got=got,
        rule=rule,
        fix='For example: --name "horizon of 60 days" --tag team=crm.',
        values=values,
    )
