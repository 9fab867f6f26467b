"""How many versions of a model are kept."""

from __future__ import annotations

import os

from tfp_nvp import checks
from tfp_nvp.serving._folders.version_labels import labels
from tfp_nvp.serving._folders.versions import remove_old


def remove_old_versions(path: str | os.PathLike, keep: int) -> list[int]:
    """Removes the versions of a model that are neither among the newest nor have a label.

    Args:
      path: a model's folder.
      keep: how many of the newest to keep, at least 1. With 2 or more the version before the newest is there to go
        back to.

    Returns:
      The versions that were removed.

    Raises:
      ValueError: if `keep` is below 1, or the folder's labels can't be read.
    """
    keep, folder = checks.integer("keep", keep, 1), checks.local_path("path", path)
    return remove_old(folder, keep, set(labels(folder).values()))
