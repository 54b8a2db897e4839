"""Does vidcam work where nothing else is installed, and what does each extra cost?

    python -m benchmarks.install FOLDER                    # all extras
    python -m benchmarks.install FOLDER --extra app        # this one

Builds the wheel, installs it into a new virtual environment in FOLDER, and explains a first video in a folder without the
sources. Checks that each extra that is missing is named with the command that brings it, and that the command gets further once
the extra is installed. Prints the table of megabytes and seconds of docs/install.md; the seconds include what pip downloads.
FOLDER should have 10 GB left; the environments of the extras share the files of the first by hard links, so that no script of
the first may be overwritten there: commands run as ``python -m vidcam``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What of each extra is tried in the environment without and with it: the words of a command, and whether it ends without it.
TRIALS = {
    "app": ("app", "--quiet"),
    "charts": ("compare", "{clip}", "-o", "compared.html", "--method", "cam", "--method", "gradcam", "--model", "mini"),
    "cloud": (),  # torch brings fsspec
    "export": ("export", "mini", "-o", "net.onnx"),
    "hf": ("annotate", "{clip}", "--model", "hf:nobody/nothing"),
    "live": ("live", "{clip}", "--headless", "--fast", "--model", "mini"),
    "parquet": (),  # nothing fails without it
    "ray": ("annotate", "{clips}", "--out-dir", "many", "--model", "mini", "--ray", "127.0.0.1:1"),
    "rerun": ("annotate", "{clip}", "-o", "again.html", "--format", "rerun=out.rrd", "--model", "mini"),
    "train": ("train", "no-such-folder", "-o", "mine"),
}
SUCCEED = {"charts", "export", "live", "rerun"}  # with the extra; the others are tried until they refuse something else
SERVE = {"app"}  # goes on by itself: only its import is tried once the extra is there

GPU_ONLY = ("nvidia", "triton", "cuda")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"VIDCAM_CACHE": str(folder / "cache"), "VIDCAM_OFFLINE": "1", "HOME": str(folder)}
    return subprocess.run([str(w) for w in words], cwd=folder, env=environment, capture_output=True, text=True)


def must(*words: str | Path, folder: Path) -> str:
    done = run(*words, folder=folder)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def size_mb(folder: Path) -> dict[str, float]:
    """Return the megabytes (10^6 bytes) of each entry of a folder."""
    sizes = {}
    for entry in folder.iterdir():
        files = [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file() and not p.is_symlink()]
        sizes[entry.name] = sum(p.stat().st_size for p in files) / 1e6
    return sizes


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python3*/site-packages"))


def pip(environment: Path, what: str, work: Path) -> float:
    begin = time.perf_counter()
    must(environment / "bin/python", "-m", "pip", "install", "-q", what, folder=work)
    return time.perf_counter() - begin


def vidcam(environment: Path) -> tuple[str, ...]:
    return str(environment / "bin/python"), "-m", "vidcam"


def build(target: Path) -> Path:
    """Return the wheel of this checkout, built in an environment of its own."""
    tools = target / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    pip(tools, "hatchling", target)
    subprocess.run([tools / "bin/python", "-m", "hatchling", "build", "-t", "wheel", "-d", target], cwd=ROOT, check=True)
    return next(target.glob("*.whl"))


def first_video(environment: Path, work: Path) -> float:
    """Explain the first video in a folder that holds nothing else, and return the seconds."""
    clip = site_packages(environment) / "vidcam/web/studio/clips/jumping_jack.mp4"
    shutil.copy(clip, work / "clip.mp4")
    begin = time.perf_counter()
    out = must(*vidcam(environment), "annotate", "clip.mp4", "-o", "why.mp4", "--report", "why.html", "--verdict", folder=work)
    seconds = time.perf_counter() - begin
    assert "jumping jack" in out, out
    assert (work / "why.mp4").stat().st_size > 10_000, "the explained video is empty"
    assert (work / "why.html").stat().st_size > 10_000, "the page is empty"
    tell(f"first video: {out.splitlines()[-1]}")
    return seconds


def check_missing(environment: Path, extra: str, work: Path) -> None:
    """Check that a command without its extra ends with exit code 2 and one sentence that names the command."""
    if not TRIALS[extra]:
        return
    words = [w.format(clip="clip.mp4", clips="clips") for w in TRIALS[extra]]
    done = run(*vidcam(environment), *words, folder=work)
    assert done.returncode == 2, (extra, done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert f"pip install 'vidcam[{extra}]'" in " ".join(lines), done.stderr
    tell(f"without {extra}: {' '.join(lines)}")


def check_present(environment: Path, extra: str, work: Path) -> None:
    """Check that the same command gets further once the extra is there."""
    if extra in SERVE:
        must(environment / "bin/python", "-c", "import vidcam.web.studio.app", folder=work)
        return
    if not TRIALS[extra]:
        return
    words = [w.format(clip="clip.mp4", clips="clips") for w in TRIALS[extra]]
    done = run(*vidcam(environment), *words, folder=work)
    assert "pip install 'vidcam[" not in done.stderr, done.stderr
    assert extra not in SUCCEED or done.returncode == 0, (extra, done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extra", action="append", choices=(*TRIALS, "all"))
    chosen = parser.parse_args()
    target = chosen.folder.resolve()
    work = target / "work"
    (work / "clips").mkdir(parents=True)
    wheel = build(target)
    core = target / "core"
    subprocess.run([sys.executable, "-m", "venv", core], check=True)
    before = sum(size_mb(site_packages(core)).values())
    seconds = pip(core, str(wheel), work)
    sizes = size_mb(site_packages(core))
    gpu = sum(size for name, size in sizes.items() if name.startswith(GPU_ONLY))
    whole = sum(sizes.values())
    say("| what | MB | s |\n|---|---|---|")
    say(f"| `vidcam` | {whole - before:.0f} | {seconds:.0f} |")
    say(f"| of which only for NVIDIA GPUs | {gpu:.0f} | |")
    for name in sorted(sizes, key=lambda n: -sizes[n])[:15]:
        tell(f"{name}: {sizes[name]:.0f} MB")
    tell(f"first video: {first_video(core, work):.1f} s")
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(work / "clip.mp4", work / "clips" / name)
    for extra in chosen.extra or (*TRIALS, "all"):
        if extra != "all":
            check_missing(core, extra, work)
        environment = target / extra
        shutil.copytree(core, environment, symlinks=True, copy_function=os.link)
        seconds = pip(environment, f"{wheel}[{extra}]", work)
        if extra != "all":
            check_present(environment, extra, work)
        say(f"| `vidcam[{extra}]` | {sum(size_mb(site_packages(environment)).values()) - whole:.0f} | {seconds:.0f} |")
        shutil.rmtree(environment)


if __name__ == "__main__":
    main()
