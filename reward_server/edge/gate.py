"""The line before the server: so many requests in at a time, the others in turn, key after key. No HTTP in here."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Literal

from reward_server.edge.pace import Pace

Turn = asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class GateLimits:
    """See `reward_server.edge.admission.AdmissionSettings`, of which these are the bounds."""

    max_working: int
    max_waiting: int
    max_bytes: int
    max_share: float
    max_wait_s: float


class Full(Exception):
    """There is no room.

    Args:
        of_key: for this key, while there may be for others.
        more_s: seconds by which the line is too long.
    """

    def __init__(self, message: str, of_key: bool = False, more_s: float = 0.0) -> None:
        super().__init__(message)
        self.of_key = of_key
        self.more_s = more_s


class Gone(Exception):
    """Whoever waited has hung up."""


class Place:
    """What one request holds of the gate, from before its body is read to after its reply."""

    def __init__(self, gate: Gate, tenant: str, num_bytes: int) -> None:
        self._gate = gate
        self._tenant = tenant
        self._num_bytes = num_bytes
        self._where: Literal["receiving", "working", "parked", "left"] = "receiving"

    async def begin(self, gone: asyncio.Future[None] | None = None) -> None:
        """Begin to work, perhaps after a while in line. A place that could not begin has left.

        Args:
            gone: done when the caller has hung up.

        Raises:
            Full: the wait would be, or was, too long.
            Gone: the caller hung up while it waited.
        """
        assert self._where == "receiving"
        self._where = "left"
        self._gate.receiving -= 1
        try:
            await self._gate._take_turn(self._tenant, gone)
        except BaseException:
            self._gate._forget(self._tenant, self._num_bytes)
            raise
        self._where = "working"

    def park(self) -> None:
        """Let the next one work: from here on this request only waits for others. It still counts in the whole."""
        if self._where == "working":
            self._where = "parked"
            self._gate.parked += 1
            self._gate._stop_working()

    def leave(self) -> None:
        """Give everything back; a second time does nothing."""
        if self._where == "left":
            return
        where, self._where = self._where, "left"
        self._gate._forget(self._tenant, self._num_bytes)
        if where == "working":
            self._gate._stop_working()
        elif where == "parked":
            self._gate.parked -= 1
        else:
            self._gate.receiving -= 1


class Gate:
    """Counts change between no two awaits, so that no bound is ever overshot. For one event loop.

    A request whose body is on its way counts in the whole and in the bytes, but it does not work: slow senders keep no
    one from working.
    """

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._pace = Pace(limits.max_wait_s)
        self.receiving = 0
        self.working = 0
        self.waiting = 0
        self.parked = 0
        self.held_bytes = 0
        self._of_tenant: Counter[str] = Counter()
        self._lines: OrderedDict[str, OrderedDict[Turn, None]] = OrderedDict()
        """Those who wait, by tenant; the tenant whose turn is next stands first."""

    @property
    def total(self) -> int:
        """Requests that hold anything."""
        return self.receiving + self.working + self.waiting + self.parked

    def admit(self, tenant: str, num_bytes: int) -> Place:
        """Let a request's body come.

        Args:
            tenant: whose request; tenants have their turns one after the other, each one's requests in order.
            num_bytes: what its body weighs.

        Raises:
            Full: there is no room.
        """
        self._check_room(tenant, num_bytes)
        self._of_tenant[tenant] += 1
        self.held_bytes += num_bytes
        self.receiving += 1
        return Place(self, tenant, num_bytes)

    async def _take_turn(self, tenant: str, gone: asyncio.Future[None] | None) -> None:
        if self.working < self._limits.max_working:
            self.working += 1
        else:
            self._check_wait(tenant)
            await self._wait(tenant, gone)

    def _check_room(self, tenant: str, num_bytes: int) -> None:
        limits = self._limits
        places = limits.max_working + limits.max_waiting
        if self.total >= places:
            raise Full("[admission] max_in_flight_requests, max_waiting_requests")
        if self.held_bytes + num_bytes > limits.max_bytes and self.total:
            raise Full("[admission] max_held_body_bytes")
        if self._of_tenant[tenant] >= max(1, int(places * limits.max_share)):
            raise Full("[admission] max_share_per_key", of_key=True)
        self._check_wait(tenant)

    def wait_s(self, tenant: str) -> float:
        """About how long one more request of this tenant would stand in line."""
        if self.working < self._limits.max_working:
            return 0.0
        # Tenants have their turns one after the other: a short line of one's own moves fast beside a long one.
        own = len(self._lines.get(tenant, ()))
        num_tenants = len(self._lines) + (tenant not in self._lines)
        return self._pace.wait_s(min(self.waiting, (own + 1) * num_tenants - 1))

    def _check_wait(self, tenant: str) -> None:
        # Somebody must wait, or the pace would never be learnt again.
        more_s = self.wait_s(tenant) - self._limits.max_wait_s if self.waiting else 0.0
        if more_s > 0:
            raise Full("[admission] max_wait_s", more_s=more_s)

    async def _wait(self, tenant: str, gone: asyncio.Future[None] | None) -> None:
        turn: Turn = asyncio.get_running_loop().create_future()
        if not self.waiting:
            self._pace.begins()
        self._lines.setdefault(tenant, OrderedDict())[turn] = None
        self.waiting += 1

        def hang_up(_: object) -> None:
            turn.cancel()

        if gone is not None:
            gone.add_done_callback(hang_up)
        try:
            async with asyncio.timeout(self._limits.max_wait_s):
                await turn
        except BaseException as error:
            self._give_up(tenant, turn)
            if isinstance(error, TimeoutError):
                raise Full("[admission] max_wait_s") from None
            if gone is not None and gone.done() and turn.cancelled():
                raise Gone from None
            raise
        finally:
            if gone is not None:
                gone.remove_done_callback(hang_up)

    def _give_up(self, tenant: str, turn: Turn) -> None:
        line = self._lines.get(tenant, OrderedDict())
        if turn in line:
            self.waiting -= 1
            del line[turn]
            if not line:
                del self._lines[tenant]
        elif not turn.cancelled():
            self._stop_working()  # its turn came in the same moment

    def _stop_working(self) -> None:
        self.working -= 1
        while self._lines and self.working < self._limits.max_working:
            tenant, line = self._lines.popitem(last=False)
            turn, _ = line.popitem(last=False)
            if line:
                self._lines[tenant] = line  # to the end: the other tenants are next
            self.waiting -= 1
            if not turn.cancelled():
                self._pace.moves()
                self.working += 1
                turn.set_result(None)

    def _forget(self, tenant: str, num_bytes: int) -> None:
        self.held_bytes -= num_bytes
        self._of_tenant[tenant] -= 1
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]
