"""A business's own estimators: the Python file that `[training] estimators` names.

    from sklearn.ensemble import HistGradientBoostingClassifier
    from lightgbm import LGBMClassifier

    def space(trial):
        return {"num_leaves": trial.suggest_int("num_leaves", 4, 64, log=True)}

    estimators = {
        "hgb": HistGradientBoostingClassifier(),
        "lightgbm": (LGBMClassifier(verbose=-1), space),
    }

The file is code: it runs with the rights of the user who runs the command, like everything that
the configuration names. It is read in a training only; no release holds it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from features.catalogue.custom import error_line
from features.core.errors import BadSetting, FileMissing
from features.core.settings import Settings
from training.models import simpler_models

KEY = "[training] estimators"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{0,39}")
TAKEN = (simpler_models.BLEND, *simpler_models.COLUMNS, "ridge", "boosters")
RULE = (
    "The file assigns `estimators`: a dict of names and scikit-learn classifiers, or of "
    "(classifier, function from an Optuna trial to its parameters)."
)


@dataclass(frozen=True)
class OwnEstimator:
    """A classifier that is not fitted, and the parameters to try: a trial of Optuna → a dict."""

    name: str
    estimator: Any
    space: Callable[[Any], dict[str, Any]] | None = None


@dataclass(frozen=True)
class OwnEstimators:
    """The estimators of a file, in its order, and its path as the configuration names it.

    `digest`: of its text: an estimator of another text may be another model of the same name.
    """

    file: str = ""
    each: tuple[OwnEstimator, ...] = ()
    digest: str = ""

    def named(self, name: str) -> OwnEstimator:
        """BadSetting for a name that the file does not have."""
        for own in self.each:
            if own.name == name:
                return own
        raise BadSetting(
            where="[training] churn_model",
            got=f"no estimator {name}",
            rule=f"{self.file or 'The file'} has {', '.join(own.name for own in self.each)}.",
            fix="Write one of these names, or remove churn_model.",
        )


NO_ESTIMATORS = OwnEstimators()


def read_estimators(settings: Settings) -> OwnEstimators:
    """The estimators of the file; none where the key is not set.

    Errors: FileMissing; BadSetting with the line where the file is wrong.
    """
    if settings.training.estimators is None:
        return NO_ESTIMATORS
    path = settings.folder / settings.training.estimators
    if not path.is_file():
        raise FileMissing(
            where=KEY,
            got=f"no file at {path}",
            rule="The key names a Python file of estimators.",
            fix=f"Correct the path under {KEY} (it starts at the toml's folder).",
        )
    name = str(settings.training.estimators)
    source = path.read_bytes()
    given = _run(source, name)
    each = tuple(_own_estimator(label, entry, name) for label, entry in given.items())
    return OwnEstimators(name, each, hashlib.sha256(source).hexdigest()[:16])


@lru_cache(maxsize=8)
def _run(source: bytes, name: str) -> dict[Any, Any]:
    """What the file assigns to `estimators`, or what the function of that name returns.

    A text is run once in a process: what it holds is never fitted itself.
    """
    values: dict[str, Any] = {"__name__": "estimators", "__file__": name}
    try:
        exec(compile(source, name, "exec"), values)
        given = values.get("estimators")
        given = given() if callable(given) else given
    except SyntaxError as error:
        raise file_error(name, error.lineno, f"invalid Python: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise file_error(
            name, error_line(error, name, 0), f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(given, dict) or not given:
        got = "no `estimators`" if given is None else f"`estimators` of type {type(given).__name__}"
        raise file_error(name, None, got if given != {} else "an empty `estimators`")
    return given


def _own_estimator(label: Any, entry: Any, file: str) -> OwnEstimator:
    if not isinstance(label, str) or not NAME.fullmatch(label) or label in TAKEN:
        raise file_error(
            file,
            None,
            f"an estimator called {label!r}",
            rule="A name begins with a letter and has up to 40 letters, digits, spaces and _ . -; "
            f"{', '.join(TAKEN)} are ours.",
        )
    estimator, space = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, None)
    absent = [
        need
        for need in ("fit", "predict_proba", "get_params", "set_params")
        if isinstance(estimator, type) or not hasattr(estimator, need)
    ]
    if absent or not (space is None or callable(space)):
        what = f"without {', '.join(absent)}" if absent else "with a space that is no function"
        raise file_error(file, None, f"{label}: {type(estimator).__name__} {what}")
    return OwnEstimator(label, estimator, space)


def file_error(
    name: str,
    line: int | None,  # None or 0 where none is known
    got: str,
    *,
    rule: str = RULE,
    fix: str = "Correct the file; docs/how-to/bring-your-own-model.md has examples.",
) -> BadSetting:
    """The error of a file of estimators, with its line where one is known."""
    return BadSetting(
        where=f"{name}, line {line}" if line else name,
        got=got,
        rule=rule,
        fix=fix,
    )


def not_servable_error(name: str, why: str) -> BadSetting:
    return BadSetting(
        where=f"[training] churn_model = {name}",
        got=f"an estimator that no release can hold: {why}",
        rule="A release holds numbers and trees, never pickle.",
        fix="Change it, or leave churn_model out: it is then judged beside ours, and not served.",
    )
