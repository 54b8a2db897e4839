"""OpenVINO as ``ov``, imported so that it reports to no one.

Importing it sends a note of it to its makers, unless the user has refused by a command of theirs. It does without where its
package for that cannot be imported.
"""

from __future__ import annotations

import sys

NAME = "openvino_telemetry"

_absent = NAME not in sys.modules
if _absent:
    sys.modules[NAME] = None  # type: ignore[assignment]  # the way to say that it cannot be imported
try:
    import openvino as ov
finally:
    if _absent:
        del sys.modules[NAME]

__all__ = ["ov"]
