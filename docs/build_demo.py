"""Build the page that explains a camera or a video without a server.

    python docs/build_demo.py [--model mini] [--out docs/live-demo/site]

It puts the files of ``docs/live-demo``, vidcam's player, the exported model and onnxruntime-web into one folder, which any static
server can serve. ``npm`` fetches onnxruntime-web once, in the version that ``package-lock.json`` pins. Needs ``vidcam[export]``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import vidcam
from vidcam.reports.player_data import drawing_facts

DEMO = Path(__file__).resolve().parent / "live-demo"
PAGE = ("index.html", "app.js", "worker.js", "preprocess.js", "offline.js")
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PLAYER = Path(vidcam.__file__).resolve().parent / "web" / "static" / "player.js"


def fetch_runtime() -> Path:
    """Return the folder of onnxruntime-web's files, fetched if it is not there."""
    folder = DEMO / "node_modules" / "onnxruntime-web" / "dist"
    if not folder.is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=DEMO, check=True)
    return folder


def build(out: Path, *, model: str = "mini") -> None:
    """Write the page with a model into the folder ``out``."""
    import onnx

    runtime = fetch_runtime()
    (out / "ort").mkdir(parents=True, exist_ok=True)
    for name in PAGE:
        shutil.copyfile(DEMO / name, out / name)
    for name in RUNTIME:
        shutil.copyfile(runtime / name, out / "ort" / name)
    shutil.copyfile(PLAYER, out / "player.js")
    path = vidcam.export(model, out / "model.onnx", overwrite=True)
    properties = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    facts = {"facts": json.loads(properties["vidcam"]), "drawing": drawing_facts()}
    (out / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    write_service_worker(out)


def write_service_worker(out: Path) -> None:
    """Write ``sw.js``, which names every file of the page with its checksum: it changes if and only if one of them does."""
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.name != "sw.js")
    sums = {name: base64.b64encode(hashlib.sha256((out / name).read_bytes()).digest()).decode() for name in names}
    files = json.dumps({name: f"sha256-{value}" for name, value in sums.items()}, indent=1)
    (out / "sw.js").write_text(f"const FILES = {files};\n\n{(DEMO / 'sw.js').read_text('utf-8')}", encoding="utf-8")


def main() -> None:
    """Build the page as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--out", type=Path, default=DEMO / "site")
    given = parser.parse_args()
    build(given.out, model=given.model)
    sys.stdout.write(f"{given.out}\n")


if __name__ == "__main__":
    main()
