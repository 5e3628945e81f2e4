"""XGBoost without scikit-learn, for a process that scores and trains nothing."""

from __future__ import annotations

import sys


def import_xgboost_alone() -> None:
    """Import XGBoost without scikit-learn, which it imports where there is one.

    Only its models of scikit-learn's kind need that, and it takes longer than all else that a score
    needs. To be called where a process begins: a process that is somebody's own, such as a
    notebook, may want those models. Nothing happens where scikit-learn is loaded already.
    """
    if "sklearn" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        import xgboost  # noqa: F401
    finally:
        del sys.modules["sklearn"]  # own features may import it
