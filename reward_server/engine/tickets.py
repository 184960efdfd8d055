"""A solution on its way to the judge, and the fair queue in which it waits. No clock, no judge, no tasks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from judge.types import Solution, Unscored, Verdict

Result = Verdict | Unscored


class Overloaded(Exception):
    """The queue has no room for all of these solutions; none of them was taken."""

    def __init__(self, asked: int, queued: int, limit: int) -> None:
        super().__init__(f"{asked} solutions, {queued} are queued, at most {limit} may be")


@dataclass(slots=True, eq=False)
class Ticket:
    """One solution in the queue or at the judge. Compared by identity: two callers may send equal solutions."""

    solution: Solution
    cost: int
    """Tokens that it takes in a batch."""
    deadline: float
    """Event loop's clock. Later waiters of the same ticket may move it back."""
    tenant: str
    bundle: object
    """What belongs together in one call."""
    queued_at: float
    future: asyncio.Future[Result]
    """Never holds an exception: what fails becomes `Unscored`. Cancelled when nobody waits any more."""
    begun_at: float | None = None
    ended_at: float | None = None

    def extend(self, deadline: float) -> None:
        """Wait at least until then."""
        self.deadline = max(self.deadline, deadline)

    def cancel(self) -> None:
        """Nobody wants the result."""
        self.future.cancel()

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, once there is one."""
        if not self.future.done() or self.future.cancelled():
            return None
        result = self.future.result()
        return result if isinstance(result, Verdict) else None

    @property
    def wait_s(self) -> float:
        """Seconds in the queue; 0 while it still waits."""
        return 0.0 if self.begun_at is None else self.begun_at - self.queued_at

    @property
    def call_s(self) -> float:
        """Seconds at the judge; 0 until the call is over."""
        return 0.0 if self.begun_at is None or self.ended_at is None else self.ended_at - self.begun_at


@dataclass(slots=True)
class Budget:
    """Room of one batch: padded tokens, that is the longest times the number, and a number of solutions."""

    max_tokens: float
    max_items: int
    longest: int = 0
    count: int = 0

    def holds(self, cost: int, more: int = 1) -> bool:
        """Whether ``more`` solutions, the longest of so many tokens, still fit."""
        count = self.count + more
        return count <= self.max_items and max(self.longest, cost) * count <= self.max_tokens

    def add(self, cost: int) -> None:
        """Take a solution in."""
        self.longest = max(self.longest, cost)
        self.count += 1


@dataclass(slots=True)
class FairQueue:
    """Waiting tickets of all tenants. Batches are filled by turns, a bundle of one tenant at a time."""

    _waiting: OrderedDict[str, OrderedDict[int, Ticket]] = field(default_factory=OrderedDict)
    """By tenant, the one whose turn it is first; by identity, because a ticket may leave from the middle."""
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def append(self, ticket: Ticket) -> None:
        """Queue a ticket behind the others of its tenant."""
        self._waiting.setdefault(ticket.tenant, OrderedDict())[id(ticket)] = ticket
        self._size += 1

    def remove(self, ticket: Ticket) -> bool:
        """Take a ticket out, wherever it stands; False when it is not here any more."""
        tickets = self._waiting.get(ticket.tenant)
        if tickets is None or tickets.pop(id(ticket), None) is None:
            return False
        self._size -= 1
        if not tickets:
            del self._waiting[ticket.tenant]
        return True

    def take(self, budget: Budget, *, max_turns: int | None = None) -> list[Ticket]:
        """The next batch, in the order of the turns.

        A tenant's turn gives the bundle at the head of its queue, or as much of it as its share of the batch holds, so
        that every waiting tenant comes to its turn. What finds no room keeps its place in front for the next batch.

        Args:
            budget: room of the batch; takes the solutions in.
            max_turns: None for as many as fit.
        """
        batch: list[Ticket] = []
        num_turns = 0
        num_tenants = max(1, len(self._waiting))
        share = Budget(budget.max_tokens / num_tenants, max(1, budget.max_items // num_tenants))
        skipped: set[str] = set()
        while (max_turns is None or num_turns < max_turns) and (tenant := self._next_tenant(skipped)) is not None:
            part = self._turn(tenant, budget, share)
            if not part:
                skipped.add(tenant)
                continue
            for ticket in part:
                budget.add(ticket.cost)
                self.remove(ticket)
            batch += part
            num_turns += 1
            if tenant in self._waiting:
                self._waiting.move_to_end(tenant)
        return batch

    def drain(self) -> Iterator[Ticket]:
        """Take out everything."""
        while self._waiting:
            tenant = next(iter(self._waiting))
            ticket = next(iter(self._waiting[tenant].values()))
            self.remove(ticket)
            yield ticket

    def _next_tenant(self, skipped: set[str]) -> str | None:
        return next((tenant for tenant in self._waiting if tenant not in skipped), None)

    def _turn(self, tenant: str, budget: Budget, share: Budget) -> list[Ticket]:
        """What the tenant gives in this turn; empty when its next bundle does not fit beside what is there."""
        part: list[Ticket] = []
        longest = 0
        for ticket in self._waiting[tenant].values():
            if part and ticket.bundle != part[0].bundle:
                break
            longest = max(longest, ticket.cost)
            count = len(part) + 1
            # A single solution may be longer than a share: it goes alone in its turn.
            if part and (count > share.max_items or longest * count > share.max_tokens):
                break
            if not budget.holds(longest, count):
                # Part of a bundle only where nothing but an empty batch could hold more of it.
                return part if budget.count == 0 else []
            part.append(ticket)
        return part


def in_batch_order(batch: Sequence[Ticket]) -> list[Ticket]:
    """Solutions of one problem beside each other, the problem with the longest one first, longest first within it.

    The longest first, so that a batch that does not fit into memory fails at its beginning.
    """
    longest: dict[str, int] = {}
    for ticket in batch:
        problem = ticket.solution.problem
        longest[problem] = max(longest.get(problem, 0), ticket.cost)
    return sorted(batch, key=lambda t: (-longest[t.solution.problem], t.solution.problem, -t.cost))
