"""A file lock between threads and processes, which ends with its holder."""

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
    """Holds a lock on `file`, which is made for the lock and removed with it.

    A killed process leaves the file without its lock; the next holder removes it.

    Args:
      file: a path in an existing folder, used for the lock only.
      wait: whether to wait for another holder.

    Yields:
      True; or False, without a file, if the system or the file system has no locks.

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
            file.unlink(missing_ok=True)  # before unlocking, so that one who waits sees that the file is gone
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing does not unlock if a forked process has it open too
            os.close(descriptor)


def _opened(file: Path) -> int:
    """Opens or makes the file, which may be another user's in a shared folder."""
    while True:
        try:
            return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)  # network file systems lock only files open for writing
        except PermissionError:
            try:
                return os.open(file, os.O_RDONLY)  # another user's; enough for its lock
            except FileNotFoundError:
                if not os.access(file.parent, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file)) from None


def _acquired(file: Path, wait: bool) -> int | None:
    """Locks the file, and returns its descriptor if it is still at its path; else tries again."""
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
            except OSError:  # such as ENOLCK and ENOSYS on network file systems
                file.unlink(missing_ok=True)
                return None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    on_error.pop_all()
                    return descriptor
