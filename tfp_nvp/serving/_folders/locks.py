"""A lock among threads and processes, which ends with the one that holds it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock that `file` stands for; the file is there as long as the lock is.

    Of a process that is killed the file stays, without its lock: the next to take it removes it.

    Args:
      file: a path whose folder exists, for nothing but the lock.
      wait: until another lets go of it.

    Yields:
      True; False, at once and without a file, where the system or the file system has no locks.

    Raises:
      BlockingIOError: if another holds it, and `wait` is False.
      OSError: if the file can't be made.
    """
    descriptor = _acquired(file, wait)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        try:
            file.unlink(missing_ok=True)  # before the lock goes: one who waited sees that this is no longer the file
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a forked process has it open too
            os.close(descriptor)


def _opened(file: Path) -> int:
    """A descriptor of the file, which is made if it is not there; of another user's too, in a folder of both."""
    while True:
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)  # network file systems lock only what is written to
        except PermissionError:
            try:
                return os.open(file, os.O_RDONLY)  # left by a process of another user; its lock needs no more
            except FileNotFoundError:
                if not os.access(file.parent, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file)) from None


def _acquired(file: Path, wait: bool) -> int | None:
    """The descriptor of a locked file that is still at its path."""
    if fcntl is None:
        return None
    while True:
        with contextlib.ExitStack() as on_error:
            descriptor = _opened(file)
            on_error.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:  # such as ENOLCK and ENOSYS of network file systems
                file.unlink(missing_ok=True)
                return None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    on_error.pop_all()
                    return descriptor
