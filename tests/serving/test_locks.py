"""One at a time holds a lock, whoever and however many ask; one whose holder was killed is free."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfp_nvp.serving._folders import locks
from tfp_nvp.serving._folders.locks import locked

# Loads the file alone: with the package it would take TensorFlow along.
HOLD = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("locks", sys.argv[1])
locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locks)
with locks.locked(pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(100.0)
"""


def test_all_tests_of_serving_are_in_one_worker(request):
    """A version of pytest that pytest-xdist does not know runs every export once for each worker."""
    if os.environ.get("PYTEST_XDIST_WORKER") and request.config.getoption("dist") == "loadgroup":
        assert request.node.nodeid.endswith("@serving")


def test_one_at_a_time(tmp_path):
    inside, most = [], []

    def take(i):
        with locked(tmp_path / "lock") as held:
            inside.append(i)
            most.append(len(inside))
            time.sleep(0.001)
            inside.remove(i)
            return held

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(take, range(100)))
    assert set(most) == {1}
    assert list(tmp_path.iterdir()) == []


def test_without_waiting(tmp_path):
    with locked(tmp_path / "lock"):
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
            pass
        assert (tmp_path / "lock").exists()  # the holder's
    with locked(tmp_path / "lock", wait=False) as held:
        assert held
    assert list(tmp_path.iterdir()) == []


def test_it_goes_with_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_of_another_process_and_of_one_that_was_killed(tmp_path):
    file = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, locks.__file__, str(file)], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), locked(file, wait=False):
            pass
        threading.Timer(0.2, holder.kill).start()
        with locked(file) as held:  # waits
            assert held
            assert holder.wait() == -9
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_user_can_be_locked(tmp_path, monkeypatch):
    """Which may be read, and not be written: its owner's process was killed."""

    def of_another(path, flags, mode=0o777):
        if flags & os.O_RDWR and os.path.exists(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, mode)

    opened = os.open
    monkeypatch.setattr(os, "open", of_another)
    (tmp_path / "lock").touch()
    with locked(tmp_path / "lock") as held:
        assert held
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(path, flags, mode=0o777):
        raise (PermissionError if flags & os.O_CREAT else FileNotFoundError)(path)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError), locked(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("system", ["none", "network"])
def test_where_there_are_no_locks(system, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if system == "none":
        monkeypatch.setattr(locks, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "lock") as one, locked(tmp_path / "lock", wait=False) as other:
        assert (one, other) == (False, False)
        assert list(tmp_path.iterdir()) == []
