"""Where each customer stands, who will leave, which stage comes next, and why: as of any instant.

    import lifecycle as lc

    shop = lc.open("lifecycle.toml")
    print(shop.check())
    examples = shop.examples()          # examples.frame, examples.features, examples.labels
    training = shop.train()
    shop.promote()
    scores = shop.score(as_of="2024-06-01")

Every name that people import is in `__all__`; it is loaded when it is first used, so `import
lifecycle` is quick. A business's own feature file imports `feature`, `Recipe`, `Reduction`, `ratio`
and the scales from here too.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.core.errors import LifecycleError as LifecycleError
    from features.recipes.recipe import DECAY_SCALE as DECAY_SCALE
    from features.recipes.recipe import LOG_SCALE as LOG_SCALE
    from features.recipes.recipe import SCORE_SCALE as SCORE_SCALE
    from features.recipes.recipe import Recipe as Recipe
    from features.recipes.recipe import Reduction as Reduction
    from features.recipes.recipe import feature as feature
    from features.recipes.recipe import ratio as ratio
    from features.recipes.recipe import variance as variance
    from features.recipes.stages import STAGES as STAGES
    from lifecycle.business import Business as Business
    from lifecycle.business import open_business as open  # noqa: F401
    from lifecycle.business import simulate as simulate
    from lifecycle.client import Client as Client
    from lifecycle.client import ServiceError as ServiceError
    from lifecycle.model import Model as Model
    from lifecycle.model import load_release as load_release
    from lifecycle.results import Backtest as Backtest
    from lifecycle.results import Examples as Examples
    from lifecycle.results import Report as Report
    from lifecycle.results import Training as Training

_HOMES = {
    "Backtest": "lifecycle.results",
    "Business": "lifecycle.business",
    "Client": "lifecycle.client",
    "DECAY_SCALE": "features.recipes.recipe",
    "Examples": "lifecycle.results",
    "LOG_SCALE": "features.recipes.recipe",
    "LifecycleError": "features.core.errors",
    "Model": "lifecycle.model",
    "Recipe": "features.recipes.recipe",
    "Reduction": "features.recipes.recipe",
    "Report": "lifecycle.results",
    "SCORE_SCALE": "features.recipes.recipe",
    "STAGES": "features.recipes.stages",
    "ServiceError": "lifecycle.client",
    "Training": "lifecycle.results",
    "feature": "features.recipes.recipe",
    "load_release": "lifecycle.model",
    "open": "lifecycle.business",
    "ratio": "features.recipes.recipe",
    "simulate": "lifecycle.business",
    "variance": "features.recipes.recipe",
}
_OTHER_NAMES = {"open": "open_business"}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("customer-lifecycle")
    if name not in _HOMES:
        raise AttributeError(f"module 'lifecycle' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _refuse_shadowed_packages() -> None:
    """ImportError where another `features`, `serving` or `training` is found before ours."""
    root = Path(__file__).resolve().parent.parent
    for name in ("features", "serving", "training"):
        try:
            spec = getattr(sys.modules.get(name), "__spec__", None) or find_spec(name)
        except ImportError:
            continue  # An import hook refuses it; its first import will say so.
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        ours = root / name / "__init__.py"
        # A registered model brings `features` and `serving` along, without `training`.
        if ours.is_file() and origin != ours:
            raise ImportError(
                f"lifecycle needs its own package '{name}' ({ours.parent}), but Python finds "
                f"{origin or 'none'} first: start from another folder, or rename yours."
            )


_refuse_shadowed_packages()
