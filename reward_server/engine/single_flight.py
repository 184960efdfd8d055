"""Equal work in flight is done once: those who ask for the same key while it is under way share one ticket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reward_server.engine.tickets import Ticket

Begin = Callable[[Sequence[int]], Sequence[Ticket]]
"""Starts work for some of the indices that were asked for; one ticket for each. May raise: then nothing was joined."""


@dataclass(slots=True)
class Flight:
    """A ticket and how many wait for it."""

    ticket: Ticket
    num_waiters: int = 0


class SingleFlight:
    """Tickets by key. A waiter that leaves takes nothing from the others; the last one cancels the ticket."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, keys: Sequence[str], deadline: float, begin: Begin) -> list[Ticket]:
        """A ticket for every key, in order; every `join` needs its `leave`.

        Args:
            keys: names of the work; equal ones, here or in flight, share a ticket.
            deadline: on the event loop's clock; a shared ticket waits for its most patient waiter.
            begin: called once at most, for the first index of each key that is not in flight.
        """
        first_index: dict[str, int] = {}
        for index, key in enumerate(keys):
            if not self._is_under_way(key):
                first_index.setdefault(key, index)
        if first_index:
            for key, ticket in zip(first_index, begin(list(first_index.values())), strict=True):
                self._flights[key] = Flight(ticket)
        tickets = []
        for key in keys:
            flight = self._flights[key]
            flight.num_waiters += 1
            flight.ticket.extend(deadline)
            tickets.append(flight.ticket)
        return tickets

    def leave(self, keys: Sequence[str], tickets: Sequence[Ticket]) -> None:
        """Stop waiting for what `join` gave for these keys."""
        for key, ticket in zip(keys, tickets, strict=True):
            flight = self._flights.get(key)
            if flight is None or flight.ticket is not ticket:
                continue
            flight.num_waiters -= 1
            if flight.num_waiters == 0:
                del self._flights[key]
                ticket.cancel()

    def _is_under_way(self, key: str) -> bool:
        """Whether a newcomer may share; a failure that others have yet to read is not handed on."""
        flight = self._flights.get(key)
        if flight is None:
            return False
        return not flight.ticket.future.done() or flight.ticket.verdict is not None
