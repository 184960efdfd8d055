"""Table ``[page]`` of the server's configuration."""

from __future__ import annotations

from pydantic import Field

from judge.settings import Settings


class PageSettings(Settings):
    """What the page at ``/`` may show."""

    enabled: bool = True
    """False: no page, none of its routes, and no text is kept."""
    keep_groups: int = Field(50, ge=0, le=10_000)
    """The last groups, whose texts stay in memory for people to open; 0: no text is ever kept."""
    keep_bytes: int = Field(16_777_216, ge=0, le=1_073_741_824)
    """Upper bound of the memory that kept texts take; the oldest group goes first."""

    @property
    def num_kept(self) -> int:
        """Groups to keep when everything is taken into account."""
        return self.keep_groups if self.enabled else 0
