"""Callers are served in turns, and whoever has most in a full queue makes room."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cybermiles.node.calls.queue import FairQueue


def filled(limit, jobs):
    queue = FairQueue(limit)
    for job in jobs:
        assert queue.put(job, job[0]) == (True, None)
    return queue


def drained(queue):
    taken = []
    while (found := queue.take(0)) is not None:
        taken.append(found[0])
    return taken


def test_callers_are_served_in_turns_and_their_jobs_in_order():
    queue = filled(9, ["a1", "a2", "a3", "b1", "c1", "b2"])
    assert drained(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_job_counts_until_it_is_done():
    queue = filled(2, ["a1", "a2"])
    assert queue.take(0) == ("a1", "a")
    assert queue.put("a3", "a") == (False, None)
    queue.done("a")
    assert queue.put("a3", "a") == (True, None)
    assert len(queue) == 2


def test_whoever_has_most_makes_room_by_the_newest_that_waits():
    queue = filled(4, ["a1", "a2", "a3", "b1"])
    assert queue.put("a4", "a") == (False, None)
    assert queue.put("c1", "c") == (True, "a3")
    assert queue.put("b2", "b") == (False, None)
    assert drained(queue) == ["a1", "b1", "c1", "a2"]


def test_nobody_makes_room_who_would_have_no_more_than_the_one_that_asks():
    queue = filled(2, ["a1", "b1"])
    assert queue.put("c1", "c") == (False, None)
    queue = filled(2, ["a1", "a2"])
    assert (queue.take(0), queue.take(0)) == (("a1", "a"), ("a2", "a"))
    assert queue.put("c1", "c") == (False, None)


def test_a_job_is_dropped_while_it_waits_and_not_once_it_runs():
    queue = filled(3, ["a1", "a2"])
    assert queue.take(0) == ("a1", "a")
    assert not queue.drop("a1", "a")
    assert queue.drop("a2", "a")
    assert not queue.drop("a2", "a")
    assert (len(queue), queue.take(0)) == (1, None)


def test_a_job_given_back_is_its_callers_next():
    queue = filled(3, ["a1", "a2"])
    assert queue.give_back(*queue.take(0))
    assert drained(queue) == ["a1", "a2"]


def test_a_closed_queue_takes_and_gives_nothing():
    queue = filled(3, ["a1", "b1"])
    taken = queue.take(0)
    assert queue.close() == ["b1"]
    assert not queue.give_back(*taken)
    assert (queue.put("c1", "c"), queue.take(60)) == ((False, None), None)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "done", "drop"]), st.sampled_from("abc")), max_size=60))
def test_it_never_holds_more_than_its_limit_and_loses_nothing(steps):
    queue, limit = FairQueue(5), 5
    waiting, running, gone = [], [], []
    for number, (step, caller) in enumerate(steps):
        job = f"{caller}{number}"
        if step == "put":
            waits, evicted = queue.put(job, caller)
            if evicted is not None:
                waiting.remove(evicted)
                gone.append(evicted)
            waiting += [job] * waits
            held = Counter(name[0] for name in waiting + running)
            assert waits or held[caller] + 1 >= max(held[name[0]] for name in waiting + running)
        elif step == "take" and (found := queue.take(0)) is not None:
            waiting.remove(found[0])
            running.append(found[0])
        elif step == "done" and running:
            queue.done(running.pop()[0])
        elif step == "drop" and waiting:
            assert queue.drop(waiting[0], waiting[0][0])
            gone.append(waiting.pop(0))
        assert len(queue) == len(waiting) + len(running) <= limit
    assert sorted(drained(queue)) == sorted(waiting)
