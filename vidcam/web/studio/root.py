"""The folder with all files of one server. If a server was killed, the next one that starts removes its folder.

Gradio's ``delete_cache`` deletes files by their age, and none of a server that was killed.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidcam.io.lock import hold

__all__ = ["own_folder", "remove_orphans"]

PREFIX = "vidcam-app-"
LOCK = "vidcam-app.lock"  # held by the server while it lives; the system releases it when the process ends


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder that is locked by this server while the ``with`` block lasts, and deleted at its end."""
    remove_orphans(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        with (root / "lock.part").open("wb") as file:
            with suppress(OSError):  # a file system without locks
                hold(file.fileno())
            with suppress(OSError):  # Windows renames no file that is open: such a folder is never taken for an orphan
                (root / "lock.part").rename(root / LOCK)  # the lock appears under its name only once it is held
            yield root


def remove_orphans(parent: Path) -> None:
    """Remove the folders of dead servers: real folders of this user, named and marked by vidcam, whose lock is free."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or (hasattr(os, "getuid") and facts.st_uid != os.getuid()):
                continue
            if not stat.S_ISREG((folder / LOCK).lstat().st_mode):
                continue
            with (folder / LOCK).open("r+b") as file:
                dead = hold(file.fileno())
                if dead and sys.platform != "win32":  # while the lock is held, so that two servers never remove the same folder
                    shutil.rmtree(folder, ignore_errors=True)
            if dead and sys.platform == "win32":
                shutil.rmtree(folder, ignore_errors=True)
