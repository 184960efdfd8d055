"""Groups from trainers that post one response at a time.

The group rule needs to know a problem's other responses, and many trainers send each one as it is finished. Here the
responses that name the same group wait for one another:

- A group is judged when ``size`` distinct members are there. It is answered sooner when one member shows that the
  group is not all-negative: then nobody's reward depends on the missing ones (`GroupJudge.settles`).
- A retry of a member joins the answer that is on its way and takes no second seat. A retry has the member's id and
  text; without an id, its text (`JoinSettings.same_text` says what two equal texts at the same time are).
- A late retry of an answered member gets the stored answer for a while, a short one where only its text is known. The
  same key with new texts, as in the next epoch, opens a new group, and so does a known id with another text: nobody
  ever gets another text's reward.
- More members than ``size`` open the next group of that key.
- A group that is incomplete at the earliest deadline of its members is judged as it is, marked incomplete. For as long
  again as it has waited, its missing members are then answered at once, one by one, in the same way.
- A group whose judgement failed keeps its members; the first retry of any of them has the whole group judged again.
- A client that goes away leaves its membership behind, for its retry and for the others.

Everything that changes a group happens on one event loop without an await in between, so that two last members that
arrive together cannot complete it twice. Members that go to different worker processes do not meet.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic

from reward_server.joining.parts import (
    AnswerT,
    Draining,
    Group,
    GroupJudge,
    JoinerFull,
    JoinMetrics,
    JoinSettings,
    Key,
    Member,
    PayloadT,
    Seat,
    SizeConflict,
    log_failure,
)


class GroupJoiner(Generic[PayloadT, AnswerT]):
    """Seats members, has full groups judged, and hands every member its own answer."""

    def __init__(self, judge: GroupJudge[PayloadT, AnswerT], settings: JoinSettings, metrics: JoinMetrics) -> None:
        self._judge = judge
        self._settings = settings
        self._metrics = metrics
        self._groups: dict[Key, list[Group[PayloadT, AnswerT]]] = {}
        self._ended: deque[tuple[float, Group[PayloadT, AnswerT]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._num_open = 0
        self._held_bytes = 0
        self._draining = False

    async def join(
        self, tenant: str, group_key: str, size: int, member_id: str | None, payload: PayloadT, deadline: float
    ) -> AnswerT:
        """The answer to this member, once its group is complete, settled, or out of time.

        Args:
            tenant: label of the caller's key; groups of different tenants never meet.
            group_key: names the group, its problem and everything else that its members must have in common.
            size: members of a whole group, at least 1.
            member_id: the trainer's name for the member; None where it has none.
            payload: the response.
            deadline: on the event loop's clock; how long this member waits for the others, judging not counted.

        Raises:
            SizeConflict: an open group of this key has another size.
            JoinerFull: too many groups or bytes are waiting.
            Draining: the server shuts down; the client's retry goes to its successor.
        """
        if self._draining:
            raise Draining
        self._forget()
        key = (tenant, group_key)
        digest = hashlib.sha256(payload.text.encode("utf-8", "surrogatepass")).digest()
        seat = self._retried(key, member_id, digest, payload)
        if seat is None:
            group = self._group_for(key, size, member_id, payload, deadline)
            seat = group.sit(member_id, digest, payload)
            self._hold(payload.num_bytes)
            self._advance(group, seat, deadline)
        seat.waiters += 1
        try:
            # Shielded: a client that goes away must not take its siblings' answers with it.
            answer = await asyncio.shield(seat.future)
            seat.delivered = True
            return answer
        finally:
            seat.waiters -= 1

    def drain(self) -> None:
        """Let nobody in, and send those away who wait for siblings that will not be let in either."""
        self._draining = True
        for group in [group for groups in self._groups.values() for group in groups if group.state == "open"]:
            for seat in group.seats.values():
                seat.fail(Draining())
            self._end(group, failed=False)

    async def aclose(self) -> None:
        """Drain, and drop the judgements on their way."""
        self.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for group in [group for groups in self._groups.values() for group in groups]:
            for seat in group.seats.values():
                seat.fail(Draining())

    def _retried(
        self, key: Key, member_id: str | None, digest: bytes, payload: PayloadT
    ) -> Seat[PayloadT, AnswerT] | None:
        """The seat of which this is a retry; has its group judged again when that failed."""
        now = asyncio.get_running_loop().time()
        for group in reversed(self._groups.get(key, [])):
            seat = group.find(member_id, digest, self._settings, now)
            if seat is not None:
                self._metrics.members.labels(kind="retry").inc()
                if group.state == "failed":
                    # The retry's own deadlines are the ones that count now.
                    seat.payload = payload
                    self._judge_again(group)
                return seat
        return None

    def _group_for(
        self, key: Key, size: int, member_id: str | None, payload: PayloadT, deadline: float
    ) -> Group[PayloadT, AnswerT]:
        """The first group of the key with a seat for a new member, or a new one."""
        now = asyncio.get_running_loop().time()
        groups = self._groups.get(key, [])
        for group in groups:
            if group.state == "open" and group.size != size:
                raise SizeConflict(group.size, size)
        settings, waiting = self._settings, self._held_bytes + payload.num_bytes
        for group in groups:
            if group.has_room(size, member_id, now):
                if waiting > 2 * settings.max_held_bytes:
                    raise self._full(f"{waiting} bytes of responses would wait ([join] max_held_bytes)")
                self._metrics.members.labels(kind="new" if group.state == "open" else "straggler").inc()
                return group
        if self._num_open >= settings.max_open_groups:
            raise self._full(f"{self._num_open} groups wait already ([join] max_open_groups)")
        if waiting > settings.max_held_bytes:
            raise self._full(f"{waiting} bytes of responses would wait ([join] max_held_bytes)")
        self._metrics.members.labels(kind="new").inc()
        self._metrics.surplus.inc(any(group.state in ("open", "judging") for group in groups))
        opened: Group[PayloadT, AnswerT] = Group(key=key, size=size, opened_at=now, closes_at=deadline)
        self._groups.setdefault(key, []).append(opened)
        self._count_open(+1)
        return opened

    def _full(self, message: str) -> JoinerFull:
        self._metrics.refused.inc()
        return JoinerFull(message)

    def _advance(self, group: Group[PayloadT, AnswerT], seat: Seat[PayloadT, AnswerT], deadline: float) -> None:
        """What a new member sets going in its group."""
        assert seat.payload is not None
        if group.state == "failed":
            group.complete = group.is_full
            self._judge_again(group)
        elif group.state == "open":
            group.mixed = group.mixed or self._judge.settles(seat.payload)
            self._answer_settled(group)
            if group.is_full:
                self._close(group)
            else:
                self._wait_until(group, min(group.closes_at, deadline))
        else:
            self._answer_settled(group)
            self._spawn(self._answer_late(group, seat))

    def _answer_settled(self, group: Group[PayloadT, AnswerT]) -> None:
        for seat in group.seats.values() if group.mixed else ():
            if seat.payload is not None and not seat.future.done():
                answer = self._judge.when_mixed(seat.payload)
                if answer is not None:
                    seat.future.set_result(answer)

    def _wait_until(self, group: Group[PayloadT, AnswerT], closes_at: float) -> None:
        if group.timer is None or closes_at < group.closes_at:
            self._stop_waiting(group)
            group.closes_at = closes_at
            group.timer = asyncio.get_running_loop().call_at(closes_at, self._close, group)

    def _stop_waiting(self, group: Group[PayloadT, AnswerT]) -> None:
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None

    def _close(self, group: Group[PayloadT, AnswerT]) -> None:
        """The group is full, or its time is over."""
        group.complete = group.is_full
        result = "complete" if group.complete else "settled" if group.mixed else "incomplete"
        self._metrics.groups.labels(result=result).inc()
        self._start(group)

    def _judge_again(self, group: Group[PayloadT, AnswerT]) -> None:
        for seat in group.seats.values():
            if seat.payload is not None and seat.future.done():
                seat.future = asyncio.get_running_loop().create_future()
        self._count_open(+1)
        self._start(group)

    def _start(self, group: Group[PayloadT, AnswerT]) -> None:
        self._stop_waiting(group)
        group.state = "judging"
        self._spawn(self._judge_group(group, [seat for seat in group.seats.values() if seat.payload is not None]))

    async def _judge_group(self, group: Group[PayloadT, AnswerT], seats: list[Seat[PayloadT, AnswerT]]) -> None:
        # Of a settled group everyone is answered already; it is judged so that it is counted and shown as one group.
        members = [Member(seat.payload, seat.waiters > 0) for seat in seats if seat.payload is not None]
        try:
            judged = await self._judge.judge(members, group.complete)
            for seat, answer in zip(seats, judged.answers, strict=True):
                if not seat.future.done():
                    seat.future.set_result(answer)
        except Exception as error:  # the edge to what judges: its bug must not leave anyone waiting
            log_failure(error)
            for seat in seats:
                seat.fail(error)
            self._end(group, failed=not group.mixed)
        else:
            self._end(group, failed=not (judged.final or group.mixed))

    async def _answer_late(self, group: Group[PayloadT, AnswerT], seat: Seat[PayloadT, AnswerT]) -> None:
        assert seat.payload is not None
        final = seat.future.done()
        try:
            judged = await self._judge.judge([Member(seat.payload, awaited=True)], complete=False)
            [answer] = judged.answers
            if not seat.future.done():
                seat.future.set_result(answer)
                final = judged.final
        except Exception as error:  # as above
            log_failure(error)
            seat.fail(error)
        self._hold(-group.release(seat))
        if not final:
            # Without its seat, its retry comes as a new straggler.
            group.seats.pop(seat.identity, None)

    def _end(self, group: Group[PayloadT, AnswerT], *, failed: bool) -> None:
        """Nobody waits any more: from here on the group is only remembered."""
        now = asyncio.get_running_loop().time()
        self._stop_waiting(group)
        group.state = "failed" if failed else "done"
        group.ended_at = now
        group.seats_until = now + group.closes_at - group.opened_at
        group.expires_at = now + self._settings.keep_answers_s
        if not failed:
            for seat in group.seats.values():
                if seat.future.done():
                    self._hold(-group.release(seat))
        self._ended.append((group.expires_at, group))
        self._count_open(-1)
        self._forget()

    def _forget(self) -> None:
        """Drop what has been remembered for long enough, or what is too much to remember."""
        now, most = asyncio.get_running_loop().time(), self._settings.max_answered_groups
        while self._ended and (self._ended[0][0] <= now or len(self._ended) > most):
            expires_at, group = self._ended.popleft()
            if group.state == "judging" or group.expires_at != expires_at:
                continue  # judged again since then: a later entry stands for it
            for seat in group.seats.values():
                self._hold(-group.release(seat))
            groups = self._groups[group.key]
            groups.remove(group)
            if not groups:
                del self._groups[group.key]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hold(self, num_bytes: int) -> None:
        self._held_bytes += num_bytes
        self._metrics.held_bytes.set(self._held_bytes)

    def _count_open(self, change: int) -> None:
        self._num_open += change
        self._metrics.open_groups.set(self._num_open)
