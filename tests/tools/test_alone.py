"""The lock between test processes: one can be alone, and processes that come later cannot delay it."""

import threading
import time

import pytest

from tests.tools.alone import SharedRoom, fcntl

pytestmark = pytest.mark.skipif(fcntl is None, reason="no locks between processes here")


class Visitor:
    """A thread that enters the room, with open files of its own, and stays until it is told to go."""

    def __init__(self, folder, alone):
        self.entered, self.leave = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.visit, args=(folder, alone), daemon=True)
        self.thread.start()

    def visit(self, folder, alone):
        with SharedRoom(folder) as room, room.alone() if alone else room.shared():
            self.entered.set()
            self.leave.wait(60)

    def end(self):
        self.leave.set()
        self.thread.join(60)
        assert self.entered.is_set() and not self.thread.is_alive()


def wait_for_a_process_in_the_door(folder):
    end = time.monotonic() + 60
    with open(folder / "door", "w") as door:
        while time.monotonic() < end:
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(door, fcntl.LOCK_UN)
            time.sleep(0.001)
    raise AssertionError("no process waits in the door")


def test_a_process_that_wants_to_be_alone_waits_for_others_and_keeps_out_later_ones(tmp_path):
    first, second = Visitor(tmp_path, alone=False), Visitor(tmp_path, alone=False)
    assert first.entered.wait(60) and second.entered.wait(60), "both are in the room together"
    alone = Visitor(tmp_path, alone=True)
    wait_for_a_process_in_the_door(tmp_path)
    late = Visitor(tmp_path, alone=False)
    first.end()
    assert not alone.entered.wait(0.1), "the second is still in the room"
    assert not late.entered.is_set(), "it would delay the one in the door"
    second.end()
    assert alone.entered.wait(60)
    assert not late.entered.wait(0.1), "the one in the room is alone"
    alone.end()
    assert late.entered.wait(60)
    late.end()


def test_the_room_is_left_after_an_error(tmp_path):
    with SharedRoom(tmp_path) as room, SharedRoom(tmp_path) as other:
        with pytest.raises(ZeroDivisionError), room.alone():
            1 / 0
        with other.alone():
            pass
