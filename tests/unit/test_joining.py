"""Groups from single responses: who is in, when a group is judged, and what everyone gets."""

from __future__ import annotations

import asyncio

import pytest

from reward_server.joining.parts import SizeConflict
from tests.unit.join_calls import Room, all_of, settle


async def test_a_group_is_judged_once_when_its_last_member_comes() -> None:
    room = Room()
    first, second = room.send("a"), room.send("b")
    await settle()
    assert not room.judge.calls
    assert await all_of(first, second, room.send("c")) == [f"{text} in a+b+c whole" for text in "abc"]
    assert len(room.judge.calls) == 1
    assert room.count("sgpo_join_groups_total", result="complete") == 1
    assert room.count("sgpo_join_members_total", kind="new") == 3


async def test_two_last_members_at_once_complete_it_once() -> None:
    room = Room()
    tasks = [room.send(text) for text in "abcd"]
    await settle()
    assert list(room.judge.calls) == [(("a", "b", "c"), True)]
    assert await all_of(*tasks[:3]) == [f"{text} in a+b+c whole" for text in "abc"]
    assert not tasks[3].done(), "the fourth of three waits in the next group"
    assert room.count("sgpo_join_surplus_groups_total") == 1
    assert (await all_of(tasks[3], room.send("e"), room.send("f")))[0] == "d in d+e+f whole"


async def test_a_retry_takes_no_second_seat() -> None:
    room = Room()
    tasks = [room.send("a"), room.send("a"), room.send("a")]
    await settle()
    assert not room.judge.calls
    assert await all_of(*tasks, room.send("b"), room.send("c")) == ["a in a+b+c whole"] * 3 + [
        "b in a+b+c whole",
        "c in a+b+c whole",
    ]
    assert room.count("sgpo_join_members_total", kind="retry") == 2


async def test_members_with_ids_may_have_equal_texts() -> None:
    room = Room()
    tasks = [
        room.send("a", member="0"),
        room.send("a", member="1"),
        room.send("a", member="1"),
        room.send("a", member="2"),
    ]
    assert set(await all_of(*tasks)) == {"a in a+a+a whole"}
    assert len(room.judge.calls) == 1


async def test_equal_texts_without_ids_are_siblings_when_the_settings_say_so_and_both_wait() -> None:
    room = Room(same_text="sibling")
    assert set(await all_of(*(room.send("a") for _ in range(3)))) == {"a in a+a+a whole"}
    gone = room.send("b")
    await settle()
    gone.cancel()
    await settle()
    again, other = room.send("b"), room.send("c")
    await settle()
    assert len(room.judge.calls) == 1, "the second b came after the first had gone: it is its retry"
    assert (await all_of(again, other, room.send("d")))[0] == "b in b+c+d whole"


async def test_a_known_id_with_another_text_never_gets_the_other_texts_answer() -> None:
    room = Room()
    tasks = [
        room.send("a", member="0"),
        room.send("x", member="0"),
        room.send("b", member="1"),
        room.send("c", member="2"),
    ]
    await settle()
    assert room.judge.calls == [(("a", "b", "c"), True)]
    more = [room.send("y", member="1"), room.send("z", member="2")]
    assert (await all_of(tasks[1], *more))[0] == "x in x+y+z whole"


async def test_a_late_retry_gets_the_stored_answer() -> None:
    room = Room()
    answers = await all_of(*(room.send(text, member=text) for text in "abc"))
    assert await all_of(*(room.send(text, member=text) for text in "abc")) == answers
    assert len(room.judge.calls) == 1
    assert room.count("sgpo_join_held_bytes") == 0, "answers are kept, texts are not"


async def test_a_text_without_an_id_is_a_new_response_once_its_answer_went_out_a_while_ago() -> None:
    room = Room(keep_by_text_s=0)
    gone = room.send("c")
    await settle()
    gone.cancel()
    await all_of(room.send("a"), room.send("b"))
    assert await all_of(room.send("c")) == ["c in a+b+c whole"], "it had not got its answer yet"
    later = [room.send(text) for text in "abc"]
    assert await all_of(*later) == [f"{text} in a+b+c whole" for text in "abc"]
    assert len(room.judge.calls) == 2


async def test_the_same_key_in_the_next_epoch_is_a_new_group() -> None:
    room = Room()
    await all_of(*(room.send(text, member=str(i)) for i, text in enumerate("abc")))
    later = await all_of(*(room.send(text, member=str(i)) for i, text in enumerate("def")))
    assert later == [f"{text} in d+e+f whole" for text in "def"]
    assert room.count("sgpo_join_surplus_groups_total") == 0


async def test_stored_answers_are_forgotten() -> None:
    room = Room(keep_answers_s=0)
    await all_of(*(room.send(text) for text in "abc"))
    await all_of(*(room.send(text) for text in "abc"))
    assert len(room.judge.calls) == 2
    few = Room(max_answered_groups=1)
    for key in ("g", "h"):
        await all_of(*(few.send(text, key=key) for text in "abc"))
    await all_of(*(few.send(text, key="h") for text in "abc"))
    assert len(few.judge.calls) == 2
    await all_of(*(few.send(text, key="g") for text in "abc"))
    assert len(few.judge.calls) == 3


async def test_another_size_for_an_open_group_is_refused_and_changes_nothing() -> None:
    room = Room()
    first = room.send("a")
    await settle()
    with pytest.raises(SizeConflict, match="4, but the open group of this id has size 3"):
        await room.send("b", size=4)
    await all_of(first, room.send("b"), room.send("c"))
    assert set(await all_of(*(room.send(text, size=2) for text in "de"))) == {"d in d+e whole", "e in d+e whole"}


async def test_tenants_and_keys_do_not_meet() -> None:
    room = Room(keep_answers_s=300)
    tasks = [room.send("a"), room.send("b", tenant="t"), room.send("c", key="h"), room.send("d")]
    await settle()
    assert not room.judge.calls
    assert (await all_of(tasks[0], tasks[3], room.send("e")))[0] == "a in a+d+e whole"
    for task in tasks[1:3]:
        task.cancel()


async def test_a_client_that_goes_away_leaves_its_membership() -> None:
    room = Room()
    gone = room.send("a", member="0")
    await settle()
    gone.cancel()
    await settle()
    assert await all_of(room.send("b", member="1"), room.send("c", member="2")) == [
        "b in a+b+c whole",
        "c in a+b+c whole",
    ]
    assert room.judge.awaited == [(False, True, True)]
    assert await all_of(room.send("a", member="0")) == ["a in a+b+c whole"]
    assert len(room.judge.calls) == 1


async def test_a_client_that_goes_away_while_judged_takes_nobody_with_it() -> None:
    room = Room()
    room.judge.gate.clear()
    tasks = [room.send(text) for text in "abc"]
    await settle()
    tasks[2].cancel()
    await settle()
    room.judge.gate.set()
    assert await all_of(*tasks[:2]) == ["a in a+b+c whole", "b in a+b+c whole"]


async def test_a_right_member_settles_the_group_for_everyone() -> None:
    room = Room()
    first = room.send("a")
    await settle()
    assert await all_of(first, room.send("b", right=True)) == ["mixed:a", "mixed:b"]
    assert not room.judge.calls
    assert await all_of(room.send("c")) == ["mixed:c"]
    await settle()
    assert room.judge.calls == [(("a", "b", "c"), True)], "counted and shown once, as one group"
    assert await all_of(room.send("c")) == ["mixed:c"]
    assert room.count("sgpo_join_groups_total", result="complete") == 1


async def test_many_members_in_any_order_are_each_judged_once() -> None:
    room = Room()
    sends = [room.send(f"{key}{i}", key=str(key), size=8) for i in range(8) for key in range(50)]
    await all_of(*sends)
    assert len(room.judge.calls) == 50
    assert {len(texts) for texts, complete in room.judge.calls if complete} == {8}
    await settle()
    assert room.count("sgpo_join_open_groups") == 0
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
