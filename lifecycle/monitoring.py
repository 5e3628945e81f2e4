"""What moved since the training of an opened business, in Python."""

from __future__ import annotations

from features.core.instants import last_midnight
from lifecycle.arguments import AsOf
from lifecycle.opened import Opened, one_at_a_time
from lifecycle.results import Report


class Monitoring(Opened):
    """The part of a business that looks after a served model."""

    @one_at_a_time
    def monitor(self, *, as_of: AsOf | None = None) -> Report:
        """Say what moved since the training beyond chance, and whether earlier scores came true.

        The newest published run (or that of `as_of`) beside the training dates of its release.
        `verdict` is moved, calm or cannot tell; `moved` names the kinds. A run whose outcomes are
        complete is judged once, and the figures are added to a history in the home folder. Errors:
        NotEnoughData without a run; ReleaseRefused for a release of an earlier version; StoreFailed
        for a damaged history.

        >>> shop.monitor()["verdict"]  # doctest: +SKIP
        'calm'
        """
        from training.monitor.monitor import monitor
        from training.monitor.text import monitor_text

        at = None if as_of is None else self._instants(as_of)[0]
        today = last_midnight(self.settings.zone)
        monitored = monitor(self.history, self.settings, today=today, as_of=at)
        return Report(monitored.value, monitor_text(monitored.value))
