"""Version folders: written under another name, synced to disk, renamed into place, never overwritten."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tfp_nvp import checks
from tfp_nvp.serving._folders.locks import locked

LARGEST = 2**63 - 1  # a server reads versions as int64
_TEMPORARY = ".export-"


def versions(path: Path) -> list[int]:
    """The versions in a model's folder, by the server's rules, in order."""
    if not path.is_dir():
        return []
    names = [child.name for child in path.iterdir() if child.name.isdecimal() and child.is_dir()]
    return sorted(int(name) for name in names if len(name) <= 19 and name == str(int(name)) and int(name) <= LARGEST)


def check_target(path: str | os.PathLike, version: int | None) -> Path:
    """Returns the model's folder as a `Path` that ends with its name, if a version can be written there.

    Raises:
      TypeError, ValueError: if `path` is not a folder of versions, or `version` not a positive int of 64 bits.
      FileExistsError: if the version exists.
    """
    folder = checks.local_path("path", path)
    if folder.name in ("", ".."):
        folder = folder.resolve()
    if (folder / "saved_model.pb").exists():
        raise ValueError(f"`path` must be the model's folder, which holds its versions; {folder} is a version itself.")
    if version is not None and checks.integer("version", version, 1, LARGEST) in versions(folder):
        raise FileExistsError(f"Version {version} of {folder} exists. Leave `version` out to write the next one.")
    return folder


@contextmanager
def temporary_sibling(path: Path) -> Iterator[Path]:
    """Makes a folder in the model's, under a name that is no version, and removes it afterwards unless renamed.

    It is locked meanwhile. Folders of killed processes have lost their locks, and are removed first.
    """
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in new:
        sync(folder.parent)
    for lock in path.glob(f"{_TEMPORARY}*.lock"):
        with suppress(OSError), locked(lock, wait=False) as held:
            if held:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    # Not `tempfile.mkdtemp`: only the owner may read its folders, and a server runs as another user.
    temporary = path / f"{_TEMPORARY}{uuid.uuid4().hex}"
    with locked(temporary.with_suffix(".lock")):  # before the folder exists
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def publish(temporary: Path, path: Path, version: int | None) -> Path:
    """Renames a finished folder to `version`, or to the next free one.

    The files are synced to disk before, and the name after, so that a version is whole or missing after a power cut.

    Raises:
      FileExistsError: if `version` exists.
      ValueError: if there is no larger one.
    """
    for folder, _, names in os.walk(temporary):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    while True:
        number = checks.integer("version", version or max(versions(path), default=0) + 1, 1, LARGEST)
        target = path / str(number)
        try:
            # Fails if another process has put its own folder, which is not empty, there since.
            os.rename(temporary, target)
            break
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
                raise
            if version is not None:
                raise FileExistsError(f"Version {version} of {path} exists.") from error
    sync(path)
    return target


def remove_old(path: Path, keep: int, named: Collection[int]) -> list[int]:
    """Removes all versions but the newest `keep` and those of labels, `named`; returns those removed.

    Each goes out of sight of servers in one step, by a name that is no version; a killed process leaves no half of one.
    """
    old = [version for version in versions(path)[:-keep] if version not in named]
    if old:
        with temporary_sibling(path) as temporary:
            for version in old:
                os.rename(path / str(version), temporary / str(version))
            sync(path)
    return old


def write_whole(file: Path, text: str) -> None:
    """Replaces a file atomically: readers see the old or the new text, also after a power cut."""
    temporary = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        os.replace(temporary, file)
        sync(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Syncs a file, or the names in a folder, to disk."""
    if path.is_dir() and os.name == "nt":  # Windows does not open folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.EBADF):  # some file systems can't sync a folder
            raise
    finally:
        os.close(descriptor)
