"""An action that runs a program when an event starts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile

from vidcam.errors import UsageError, VidcamError
from vidcam.live.events import Event

__all__ = ["RunCommand"]

RUN_S = 30.0
FIELDS = ("action", "score", "rule", "start", "source", "box", "snapshot")


class RunCommand:
    """Runs a program when an event starts, without a shell: the words become its arguments as they are.

    The event is in the environment: ``VIDCAM_ACTION``, ``VIDCAM_SCORE``, ``VIDCAM_RULE``, ``VIDCAM_START``, ``VIDCAM_SOURCE``,
    ``VIDCAM_BOX``, ``VIDCAM_SNAPSHOT`` and, all of it as JSON, ``VIDCAM_EVENT``.

    Args:
        words: The program and its arguments, quoted as for a shell.
        timeout_s: Seconds after which the program is ended.

    Raises:
        UsageError: The words cannot be split, or there is no such program.
    """

    def __init__(self, words: str, *, timeout_s: float = RUN_S) -> None:
        self.timeout_s = timeout_s
        try:
            self.argv = shlex.split(words)
        except ValueError as error:
            raise UsageError(f"the command {words!r} cannot be taken apart: {error}") from error
        if not self.argv or shutil.which(self.argv[0]) is None:
            raise UsageError(f"there is no program {self.argv[0] if self.argv else words!r} that could be run for an event")
        self.name = f"a run of {self.argv[0]}"

    def __call__(self, event: Event) -> None:
        """Run the program if the event starts. VidcamError if it fails or takes too long."""
        if event.end is not None:
            return
        facts = event.to_json()
        fields = {f"VIDCAM_{name.upper()}": "" if facts[name] is None else str(facts[name]) for name in FIELDS}
        try:
            # stderr is a file and not a pipe: a pipe stays open as long as programs that were left in the background.
            with tempfile.TemporaryFile() as errors:
                process = subprocess.run(
                    self.argv,
                    env={**os.environ, **fields, "VIDCAM_EVENT": json.dumps(facts)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    timeout=self.timeout_s,
                    check=False,
                )
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines() if process.returncode else []
        except subprocess.TimeoutExpired as error:
            raise VidcamError(f"{self.argv[0]} was ended: it took longer than {self.timeout_s:g} seconds") from error
        except OSError as error:
            raise VidcamError(f"{self.argv[0]} could not be run: {error.strerror or error}") from error
        if process.returncode:
            raise VidcamError(f"{self.argv[0]} failed with code {process.returncode}" + (f": {lines[-1]}" if lines else ""))
