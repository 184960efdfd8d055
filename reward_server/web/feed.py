"""The one thing that the service tells the page: these groups are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reward_server.web.activity import Activity
from reward_server.web.recent import RecentGroups, ScoredGroup


@dataclass(frozen=True, slots=True)
class Feed:
    """What the page shows of the server's work."""

    activity: Activity
    recent: RecentGroups

    def saw(self, groups: Sequence[ScoredGroup], judge_s: float, tenant: str) -> None:
        """Take in one finished request; ``judge_s`` is the longest of its judge calls."""
        self.activity.saw(groups, judge_s)
        for group in groups:
            self.recent.add(group, tenant)
