"""One campaign is decided after the other, so that each knows those before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from features.core.folder_lock import lock_folder
from serving.campaigns.store import campaigns_folder, home_errors


@contextlib.contextmanager
def lock_campaigns() -> Iterator[None]:
    """Have the lock of the campaigns in the block; StoreFailed."""
    with contextlib.ExitStack() as locks:
        with home_errors():
            locks.enter_context(lock_folder(campaigns_folder(), "decide"))
        yield
