"""What the group joiner works with: its settings, its counts, its groups and seats, and what it asks of a judge."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import Field

from judge.settings import Settings

logger = logging.getLogger(__name__)

Incomplete = Literal["outcome", "each_wrong", "unscored"]
SameText = Literal["retry", "sibling"]
State = Literal["open", "judging", "failed", "done"]
Key = tuple[str, str]
"""Tenant and group key."""


class JoinSettings(Settings):
    """Table ``[join]``: groups whose responses come one by one."""

    incomplete: Incomplete = "outcome"
    """What the wrong responses of a group earn that stays incomplete and has no right one. ``outcome``: 0. Nobody
    knows that the group is all-negative, so no partial credit is paid; whatever the missing ones turn out to be, the
    rewards agree with theirs. ``each_wrong``: partial credit all the same. ``unscored``: no reward, as when the judge
    fails."""
    same_text: SameText = "retry"
    """Two equal texts of one group at the same time, from a trainer that sends no id of the single response.
    ``retry``: one member, asked for twice. ``sibling``: two members, as long as both requests are waiting."""
    keep_answers_s: float = Field(300.0, ge=0, le=86_400)
    """How long a retry of an answered member gets the stored answer."""
    keep_by_text_s: float = Field(120.0, ge=0, le=86_400)
    """The same where the text is all there is to know a member by, and its answer went out: after that, the text counts
    as a new response, as the next epoch may bring it."""
    max_open_groups: int = Field(20_000, ge=1, le=1_000_000)
    """Groups that wait for members or for the judge; a further one gets 503."""
    max_answered_groups: int = Field(20_000, ge=0, le=1_000_000)
    """Answered groups that are remembered; the oldest go first."""
    max_held_bytes: int = Field(1_073_741_824, ge=1024, le=1_099_511_627_776)
    """Texts of waiting members. Beyond it no new group is let in, and beyond twice as much no new member."""


class SizeConflict(Exception):
    """A member names another size than the group that waits for it."""

    def __init__(self, held: int, given: int) -> None:
        super().__init__(f"{given}, but the open group of this id has size {held}")


class JoinerFull(Exception):
    """As much waits already as the settings allow."""


class Draining(Exception):
    """The server shuts down; what is not complete will not be."""


class Payload(Protocol):
    """A response as far as the joiner looks at it."""

    @property
    def text(self) -> str:
        """What makes it this response and no other."""

    @property
    def num_bytes(self) -> int:
        """What it weighs in memory."""


PayloadT = TypeVar("PayloadT", bound=Payload)
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Member(Generic[PayloadT]):
    """A response that is to be judged, and whether someone waits for it."""

    payload: PayloadT
    awaited: bool


@dataclass(frozen=True, slots=True)
class Judged(Generic[AnswerT]):
    """One answer for each member, in order."""

    answers: Sequence[AnswerT]
    final: bool = True
    """False when a retry may do better: the group is then judged again at the first one."""


class GroupJudge(Protocol[PayloadT, AnswerT]):
    """What turns members into answers."""

    def settles(self, payload: PayloadT) -> bool:
        """True when this member alone shows that nobody's answer depends on who else is in the group."""

    def when_mixed(self, payload: PayloadT) -> AnswerT | None:
        """The answer to a member of a group that has been settled; None when it takes the whole group to say."""

    async def judge(self, members: Sequence[Member[PayloadT]], complete: bool) -> Judged[AnswerT]:
        """The answers to a group, or to what there is of it."""


class Identity(NamedTuple):
    """Which member a seat belongs to. The copy tells equal texts without an id apart."""

    member_id: str | None
    digest: bytes
    copy: int = 0


@dataclass(slots=True, eq=False)
class Seat(Generic[PayloadT, AnswerT]):
    """One member's place in a group."""

    identity: Identity
    payload: PayloadT | None
    """None once it is answered for good."""
    future: asyncio.Future[AnswerT]
    waiters: int = 0
    delivered: bool = False
    """Whether an answer has gone out to someone who was still there."""

    def fail(self, error: Exception) -> None:
        """Tell whoever waits; nobody has to."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # marks it as seen


@dataclass(slots=True, eq=False)
class Group(Generic[PayloadT, AnswerT]):
    """Members that wait for one another, or what is remembered of them. Times are on the event loop's clock."""

    key: Key
    size: int
    opened_at: float
    closes_at: float
    seats: dict[Identity, Seat[PayloadT, AnswerT]] = field(default_factory=dict)
    state: State = "open"
    mixed: bool = False
    complete: bool = False
    timer: asyncio.TimerHandle | None = None
    seats_until: float = 0.0
    """When the missing members of an incomplete group stop being expected."""
    ended_at: float = 0.0
    expires_at: float = 0.0
    held_bytes: int = 0

    @property
    def is_full(self) -> bool:
        """True when every seat is taken."""
        return len(self.seats) >= self.size

    def has_room(self, size: int, member_id: str | None, now: float) -> bool:
        """True when a new member of that id and group size belongs in here."""
        if self.is_full or self.size != size or (self.state == "done" and now >= self.seats_until):
            return False
        return member_id is None or all(identity.member_id != member_id for identity in self.seats)

    def sit(self, member_id: str | None, digest: bytes, payload: PayloadT) -> Seat[PayloadT, AnswerT]:
        """Give a new member its seat."""
        copy = 0
        while Identity(member_id, digest, copy) in self.seats:
            copy += 1
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        seat = Seat(Identity(member_id, digest, copy), payload, future)
        self.seats[seat.identity] = seat
        self.held_bytes += payload.num_bytes
        return seat

    def find(
        self, member_id: str | None, digest: bytes, settings: JoinSettings, now: float
    ) -> Seat[PayloadT, AnswerT] | None:
        """The seat of which a request is a retry, or None when it is a new member."""
        text_is_old = member_id is None and self.state == "done" and now >= self.ended_at + settings.keep_by_text_s
        copy = 0
        while (seat := self.seats.get(Identity(member_id, digest, copy))) is not None:
            two = settings.same_text == "sibling" and member_id is None
            twin = two and self.state == "open" and seat.waiters > 0
            if not twin and not (text_is_old and seat.delivered):
                return seat
            copy += 1
        return None

    def release(self, seat: Seat[PayloadT, AnswerT]) -> int:
        """Forget an answered seat's text; the number of bytes that this frees."""
        if seat.payload is None:
            return 0
        freed = seat.payload.num_bytes
        seat.payload = None
        self.held_bytes -= freed
        return freed


class JoinMetrics:
    """What the joiner counts. Labels come from closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.groups = Counter(
            "sgpo_join_groups", "Joined groups by how their waiting ended.", ("result",), registry=registry
        )
        self.members = Counter(
            "sgpo_join_members", "Responses that came to be joined, by what they were.", ("kind",), registry=registry
        )
        self.surplus = Counter(
            "sgpo_join_surplus_groups", "Groups opened while an earlier one of their key waited.", registry=registry
        )
        self.refused = Counter("sgpo_join_refused", "Responses refused because too much waited.", registry=registry)
        self.open_groups = Gauge("sgpo_join_open_groups", "Groups that wait or are being judged.", registry=registry)
        self.held_bytes = Gauge("sgpo_join_held_bytes", "Bytes of the texts that wait.", registry=registry)


def log_failure(error: Exception) -> None:
    """Without the exception's message, which may quote the response."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("a joined group could not be judged: %s\n%s", type(error).__name__, frames)
