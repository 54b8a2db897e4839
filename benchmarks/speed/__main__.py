"""Measures vidcam beside what it has to be compared with.

    python -m benchmarks.speed [--quick] [--only PART ...] [--clip VIDEO ...] [--out DIR] [--page docs/performance.md]

Parts: end_to_end, engines, methods, scaling, gpu. Writes results.json, results.md and a plot for each table into --out; --page
puts the tables of the parts that ran between the markers of that page, and their plots into `images` beside it. Takes about 25
minutes on two cores, --quick five; nothing else should run meanwhile. Needs the `dev` extra; grad-cam takes part if it is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed import end_to_end, engines, gpu, methods, scaling
from benchmarks.speed.plan import CLIP, Plan
from benchmarks.speed.race import Race
from vidcam.models import weights

PARTS: dict[str, Callable[[Plan], list[Race]]] = {
    "end_to_end": end_to_end.run,
    "engines": engines.run,
    "methods": methods.run,
    "scaling": scaling.run,
    "gpu": gpu.run,
}


def machine() -> str:
    """Where and with what this was measured, in one line."""
    from vidcam.analysis import versions

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((line.split(": ")[1] for line in info.read_text().splitlines() if line.startswith("model name")), name)
    libraries = ", ".join(f"{library} {version}" for library, version in versions().items())
    return f"{time.strftime('%Y-%m-%d')}, {name}, {os.cpu_count()} cores, {platform.system()}; {libraries}"


def ticks(stat: str) -> tuple[int, int]:
    """Of the text of Linux's ``/proc/stat``: how long the processors worked, and how long they were kept from it by others on the
    same hardware, which only virtual machines know."""
    user, nice, system, _idle, _waiting, hard, soft, stolen, *_ = map(int, stat.split("\n", 1)[0].split()[1:])
    return user + nice + system + hard + soft, stolen


def lost(before: str | None, after: str | None) -> str:
    """What others took of the processors' time that was wanted between two readings; empty where the system does not tell."""
    if before is None or after is None:
        return ""
    worked, stolen = (b - a for a, b in zip(ticks(before), ticks(after), strict=True))
    return f"; {stolen / max(1, worked + stolen):.0%} of the processors' time went to other machines on the same hardware"


def _stat() -> str | None:
    stat = Path("/proc/stat")
    return stat.read_text(encoding="ascii") if stat.exists() else None


def section(races: list[Race], where: str, pictures: Path, address: str) -> str:
    """The tables of one part; their plots are written into ``pictures``."""
    texts = [f"<sub>{where}</sub>\n"]
    for race in races:
        plot = race.svg()
        name = f"speed-{race.name}.svg"
        if plot:
            pictures.mkdir(parents=True, exist_ok=True)
            (pictures / name).write_text(plot, encoding="utf-8")
        texts.append(race.markdown(f"{address}{name}" if plot else None))
    return "\n".join(texts)


def filled(page: str, part: str, text: str) -> str:
    """``page`` with ``text`` between the markers of ``part``."""
    new, count = re.subn(rf"(?s)(<!-- {part} -->\n).*?(<!-- end of {part} -->)", lambda m: f"{m[1]}{text}{m[2]}", page)
    if not count:
        raise SystemExit(f"the page has no line <!-- {part} --> with <!-- end of {part} --> after it: add them")
    return new


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--clip", type=Path, nargs="+", default=[CLIP], help="what the clips are made of, played over and over")
    parser.add_argument("--out", type=Path, default=Path("build/speed"))
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    if missing := [str(clip) for clip in args.clip if not clip.is_file()]:
        parser.error(f"--clip: there is no file {', '.join(missing)}")
    where, wheres, done = machine(), dict[str, str](), dict[str, list[Race]]()
    if args.page:
        for part in args.only:
            filled(args.page.read_text(encoding="utf-8"), part, "")  # what is wrong with the page is told before any work
    args.out.mkdir(parents=True, exist_ok=True)
    if (cache := weights.cache_dir()).is_dir():
        os.environ.setdefault("VIDCAM_WEIGHTS", str(cache))  # weights that are there are used; nothing is added to them
    os.environ["VIDCAM_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="vidcam-speed-") as name:
        os.environ["VIDCAM_CACHE"] = str(Path(name) / "cache")
        plan = (Plan.quick if args.quick else Plan)(Path(name), tuple(clip.resolve() for clip in args.clip))
        for part in args.only:
            began, before = time.perf_counter(), _stat()
            done[part] = PARTS[part](plan)
            wheres[part] = where + lost(before, _stat())
            plan.say(f"{part}: {time.perf_counter() - began:.0f} s in all")
            facts = {p: [race.as_dict() for race in races] for p, races in done.items()}
            (args.out / "results.json").write_text(json.dumps({"machine": wheres, **facts}, indent=1) + "\n", encoding="utf-8")
    text = "\n".join(section(races, wheres[part], args.out, "") for part, races in done.items() if races)
    (args.out / "results.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if args.page:
        page = args.page.read_text(encoding="utf-8")
        for part, races in done.items():
            if races:
                page = filled(page, part, section(races, wheres[part], args.page.parent / "images", "images/"))
        args.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
