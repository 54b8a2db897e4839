"""Do the tests hold on any machine? Runs them again and again while the machine is made slow, and says how often they failed.

    python -m benchmarks.steadiness                           # three times in each of the four conditions
    python -m benchmarks.steadiness --only loaded --times 1 -- tests/test_live.py

- ``alone``: as always;
- ``loaded``: while four busy loops occupy the processors;
- ``one-core``: on one processor;
- ``nice``: at niceness 19, beside the same loops.

The loops are one session of their own: Linux shares the processors between sessions first, so that the tests get about half of
them, and something even at niceness 19.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONDITIONS = ("alone", "loaded", "one-core", "nice")
LOOPS = 4


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep the processors busy while this lasts."""
    if not loops:
        yield
        return
    # The shell that leads the session is given up as soon as it has said which loops it has started.
    words = f"for i in $(seq {loops}); do {sys.executable} -c 'while True: pass' >/dev/null & echo $!; done"
    started = subprocess.run(["sh", "-c", words], start_new_session=True, stdout=subprocess.PIPE, text=True, check=True)
    try:
        yield
    finally:
        for pid in started.stdout.split():
            os.kill(int(pid), signal.SIGKILL)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(condition: str, words: list[str], log: Path) -> tuple[int, float, str]:
    """Run the tests once: (exit code, minutes, pytest's last line)."""
    command = [sys.executable, "-m", "pytest", "-q", *words]
    if condition == "one-core":
        command = ["taskset", "-c", "0", *command]
    if condition == "nice":
        command = ["nice", "-n", "19", *command]
    began = time.monotonic()
    with busy(LOOPS if condition in ("loaded", "nice") else 0), log.open("w") as out:
        code = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    for line in re.findall(r"^(?:FAILED|ERROR) .*$", text, re.MULTILINE):
        say(f"    {line}")
    return code, (time.monotonic() - began) / 60, text.strip().rpartition("\n")[2].strip("= ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "steadiness")
    parser.add_argument("pytest", nargs="*", help="what pytest is told; all tests without it")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for condition in args.only:
        for n in range(1, args.times + 1):
            code, minutes, words = run(condition, args.pytest, args.out / f"{condition}-{n}.log")
            failed += code != 0
            say(f"{condition:>9} {n}: {minutes:6.1f} min on {os.cpu_count()} cores, exit code {code}: {words}")
    say(f"{failed} of {len(args.only) * args.times} runs failed")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
