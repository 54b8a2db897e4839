"""Do the commands of the Dockerfile work? Runs them without a container runtime.

    python -m benchmarks.container FOLDER [--torch-index URL] [--environment VENV]

Each ``RUN`` line runs in a virtual environment (a new one in FOLDER, or a copy of VENV by hard links), whose folders stand for
those of the image, with the files that ``COPY`` names. Then the command of the image is tried: the version, an explained video,
and the app, whose page must answer. ``apt-get`` is left out, as it needs root.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WAIT_S = 120


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile in order: the word in capitals, and the rest of its line."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest


class Image:
    """A folder that stands for the file system of the image."""

    def __init__(self, folder: Path, environment: Path, given: dict[str, str]) -> None:
        self.folder, self.environment, self.given = folder, environment, given
        self.variables: dict[str, str] = {}
        self.workdir = "/"

    def inside(self, path: str) -> Path:
        return self.folder / path.lstrip("/") if path.startswith("/") else self.folder / self.workdir.lstrip("/") / path

    def apply(self, word: str, rest: str) -> None:
        if word == "ARG":
            name, _, value = rest.partition("=")
            self.variables[name] = self.given.get(name, value)
        elif word == "ENV":
            self.variables |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "WORKDIR":
            self.workdir = rest
            self.inside(rest).mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and not rest.startswith("--from"):
            *names, target = rest.split()
            for name in names:
                self.copy(ROOT / name, self.inside(target) / (name if target == "./" else ""))
        elif word == "RUN":
            self.run(rest)

    def copy(self, source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def run(self, command: str) -> None:
        parts = [part for part in command.split("&&") if not re.match(r"\s*(apt-get|rm -rf /var)", part)]
        if parts:
            # A script of a copied environment names the one that it was copied from.
            command = re.sub(r"(^|\s)pip ", r"\1python -m pip ", "&&".join(parts))
            self.call(self.moved(command), shell=True)

    def moved(self, command: str) -> str:
        """Return the command with the folders of the image instead of the machine's."""
        return re.sub(r"(?<![\w.:/])/(wheels|cache|data|src)\b", lambda m: f"{self.folder}/{m[1]}", command)

    def surroundings(self) -> dict[str, str]:
        own = {key: self.moved(value) for key, value in self.variables.items()}
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return (
            {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            | own
            | {"PATH": path, "VIRTUAL_ENV": str(self.environment)}
        )

    def call(self, command: str | list[str], *, shell: bool = False) -> str:
        sys.stderr.write(f"$ {command if isinstance(command, str) else ' '.join(command)}\n")
        done = subprocess.run(
            command, shell=shell, cwd=self.inside(self.workdir), env=self.surroundings(), capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr


def try_app(image: Image, command: list[str]) -> int:
    """Start the command of the image with another port, and return the page's status without a token, which must be a refusal."""
    log = image.folder / "app.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--port", "0"], cwd=image.inside(image.workdir), env=image.surroundings(), stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if address := re.search(r"http://0\.0\.0\.0:(\d+)/\?token=(\S+)", log.read_text()):
                break
            time.sleep(1)
        else:
            sys.exit(f"the app printed no address:\n{log.read_text()}")
        page = f"http://127.0.0.1:{address[1]}/"
        with urllib.request.urlopen(f"{page}?token={address[2]}") as answer:
            assert b"vidcam" in answer.read()
        try:
            urllib.request.urlopen(page)
        except urllib.error.HTTPError as refusal:
            return refusal.code
        sys.exit("the page answers without a token")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch-index", help="index of torch and torchvision, in place of pip's own")
    parser.add_argument("--environment", type=Path, help="virtual environment to start from")
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    environment = folder / "environment"
    folder.mkdir(parents=True)
    if chosen.environment:
        shutil.copytree(chosen.environment, environment, symlinks=True, copy_function=os.link)
        subprocess.run([environment / "bin/python", "-m", "pip", "uninstall", "-q", "-y", "vidcam"], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    image = Image(folder / "image", environment, {"TORCH_INDEX": chosen.torch_index} if chosen.torch_index else {})
    image.folder.mkdir()
    for word, rest in instructions((ROOT / "Dockerfile").read_text()):
        image.apply(word, rest)
    python = [str(environment / "bin/python"), "-m"]
    sys.stdout.write(image.call([*python, "vidcam", "--version"]))
    shutil.copy(ROOT / "clips" / "falling.mp4", image.inside("/data/clip.mp4"))
    sys.stdout.write(
        image.call([*python, "vidcam", "annotate", "clip.mp4", "-o", "why.mp4", "--model", "mini"]).splitlines()[-1] + "\n"
    )
    status = try_app(image, [*python, "vidcam", "app", "--host", "0.0.0.0"])
    sys.stdout.write(f"the app answers with its token, and with {status} without\n")


if __name__ == "__main__":
    main()
