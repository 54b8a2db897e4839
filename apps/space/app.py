"""Start the app as a Space of Hugging Face: ``vidcam app`` with what the Space's README.md and variables say."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from vidcam.cli.main import main

PORT = "7860"


def words(readme: str, variables: Mapping[str, str]) -> list[str]:
    """Return the words of ``vidcam app`` for a Space.

    Args:
        readme: The text of its README.md, whose front matter may name ``app_port``.
        variables: Its environment: ``SPACE_HOST`` is set in a Space, and ``VIDCAM_AUTH`` is the secret ``USER:PASSWORD``.

    Raises:
        SystemExit: It is a Space, and the secret is missing.
    """
    front = re.match(r"---\n(.*?)\n---\n", readme, re.DOTALL)
    port = re.search(r"^app_port:\s*(\d+)", front[1], re.MULTILINE) if front else None
    chosen = ["app", "--port", port[1] if port else PORT]
    if host := variables.get("SPACE_HOST"):
        if not variables.get("VIDCAM_AUTH"):
            sys.exit("set the secret VIDCAM_AUTH of this Space to USER:PASSWORD: everyone can reach it")
        chosen += ["--host", "0.0.0.0", "--name", host, "--auth", variables["VIDCAM_AUTH"]]
    return chosen


if __name__ == "__main__":
    sys.argv[1:] = [*words((Path(__file__).parent / "README.md").read_text("utf-8"), os.environ), *sys.argv[1:]]
    main()
