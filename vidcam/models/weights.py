"""Weight files: where they are, how they get there once, whether they are what they claim to be, and what is in them.

A file is looked for in the folder named by ``VIDCAM_WEIGHTS``, then in the cache (``VIDCAM_CACHE``, or the user's cache
folder), then in the package, and only then downloaded. ``VIDCAM_OFFLINE=1`` never touches the network.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import DownloadError, UsageError, WeightsError
from vidcam.models.registry import Weights

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Progress", "cache_dir", "fetch", "find", "offline", "read_state", "sha256_of", "tensors_of", "verify"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes in all (None where the server does not say)."""

TIMEOUT_S = 5.0
ATTEMPTS = 4
WRAPS = ("model_state", "state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "ema", "module")
"""Keys under which training code keeps a network's tensors, in the order in which they are looked for."""
BLOCK = 1 << 18
PINS = "pins.json"
SHIPPED = Path(__file__).with_name("shipped")


def cache_dir() -> Path:
    """The folder of downloaded weights: ``VIDCAM_CACHE``, or vidcam's folder in the user's cache. It may not exist yet."""
    named = os.environ.get("VIDCAM_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("vidcam", appauthor=False))


def offline() -> bool:
    """Does ``VIDCAM_OFFLINE`` forbid the network?"""
    return os.environ.get("VIDCAM_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def find(weights: Weights) -> Path | None:
    """The file of these weights on this machine, None where there is none.

    Looks in the folder ``VIDCAM_WEIGHTS``, in the cache and in what the package ships; in each, what was imported comes before
    what was downloaded.
    UsageError where ``VIDCAM_WEIGHTS`` is not a folder.
    """
    folders = [cache_dir(), SHIPPED]
    named = os.environ.get("VIDCAM_WEIGHTS")
    if named:
        extra = Path(named).expanduser()
        if not extra.is_dir():
            raise UsageError(f"VIDCAM_WEIGHTS names {extra}, which is not a folder: correct or unset it")
        folders.insert(0, extra)
    files = [file for file in (weights.imported, weights.filename) if file]
    return next((path for folder in folders for file in files if (path := folder / file).is_file()), None)


def fetch(weights: Weights, *, progress: Progress | None = None) -> Path:
    """The file of these weights, downloaded into the cache where it is not on this machine yet.

    The download continues where an earlier one was cut off, is checked against the published sum (or, where none is published,
    the one seen at the first download) and appears under its name complete or not at all. DownloadError says what to do
    instead; WeightsError where the checksum is wrong.
    """
    path = find(weights)
    if path is not None:
        return path
    if "://" not in weights.url:
        raise WeightsError(f"{weights.url} is part of the package, but not there: install vidcam again")
    path = cache_dir() / weights.filename
    if offline():
        raise DownloadError(
            f"{weights.filename} is not on this machine and VIDCAM_OFFLINE forbids downloading it: "
            f"get {weights.url} and put it at {path}, or unset VIDCAM_OFFLINE"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _download(weights.url, path, progress)
        digest = sha256_of(part)
        reason = _mismatch(digest, path, weights)
        if reason:
            _discard(part)
            raise WeightsError(
                f"what {weights.url} sent is not the published file ({reason}); the download was discarded and nothing else was "
                f"changed: try again, or put the right file at {path}"
            )
        if not weights.sha256:
            _pin(path, digest)
        os.replace(part, path)
        _discard(part)
    except (OSError, http.client.HTTPException) as err:
        raise DownloadError(
            f"cannot download {weights.url}: {_reason(err)}; run it again to continue, or get the file by hand and put it at "
            f"{path} (or in the folder that VIDCAM_WEIGHTS names); VIDCAM_OFFLINE=1 stops vidcam from trying"
        ) from err
    return path


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, weights: Weights) -> str:
    """The SHA-256 of a file that claims to be these weights; WeightsError where it differs from the published or pinned one.

    What was imported was made on this machine from a file that was checked then, so nobody has published a sum of it.
    """
    digest = sha256_of(path)
    reason = None if path.name == weights.imported else _mismatch(digest, path, weights)
    if reason:
        raise WeightsError(
            f"{path} is not the file that {weights.url} stands for ({reason}): delete it so that it is fetched again, "
            "or give weights of your own by their path"
        )
    return digest


def read_state(path: str | os.PathLike[str]) -> dict[str, object]:
    """What a weight file holds, on the CPU: the tensors of a ``.safetensors`` file, those of MoViNet-A0's ``.tflite`` file, or
    the dictionary that ``torch.save`` wrote.

    Never runs code from the file. WeightsError, in one sentence that says what to do, where it is unreadable or would need code.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}: check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".tflite":
        from vidcam.models.movinet_import import import_tflite

        return dict(import_tflite(path))
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that it does not expect: they end in an error below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # damaged archives end in half a dozen unrelated exceptions
        if " GLOBAL " in str(err) or "TorchScript" in str(err):
            raise WeightsError(
                f"{path} would have to run Python code to be loaded, which vidcam refuses: save the tensors alone with "
                "torch.save(model.state_dict(), path) or as .safetensors and give that file"
            ) from err
        raise WeightsError(
            f"{path} cannot be read as weights ({type(err).__name__}): it is damaged, incomplete or not a file of torch.save "
            "or safetensors; fetch or save it again"
        ) from err
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path} holds a {type(state).__name__}, not a state dict: save model.state_dict() and give that file")
    return dict(state)


def tensors_of(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: its own, or those under the key where training code usually keeps them.

    PyTorchVideo keeps them under ``model_state``. WeightsError where there are none.
    """
    import torch

    for _ in range(3):  # a wrap in a wrap in a wrap
        inner = next((found for key in WRAPS if isinstance(found := checkpoint.get(key), Mapping) and found), None)
        if inner is None:
            break
        checkpoint = inner
    tensors = {str(name): value for name, value in checkpoint.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"no tensors in the checkpoint, only {', '.join(map(str, list(checkpoint)[:5])) or 'nothing'}")
    return tensors


def _read_safetensors(path: Path) -> dict[str, object]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as err:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({err}): it is damaged or incomplete; fetch or save it again"
        ) from err


def _pins(folder: Path) -> dict[str, str]:
    path = folder / PINS
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as err:
        raise WeightsError(f"cannot read the checksums in {path} ({err}): repair or delete it") from err
    if not isinstance(pins, dict):
        raise WeightsError(f"{path} should map file names to checksums: repair or delete it")
    return pins


def _pin(path: Path, digest: str) -> None:
    """Remember the sum of a file that nobody published one for, in ``pins.json`` beside it."""
    pins = _pins(path.parent) | {path.name: digest}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PINS)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(pins, file, indent=1, sort_keys=True)
    os.replace(temporary, path.parent / PINS)


def _mismatch(digest: str, path: Path, weights: Weights) -> str | None:
    """What is wrong with a checksum, None where nothing is."""
    if weights.sha256:
        if digest.startswith(weights.sha256.lower()):
            return None
        return f"sha256 {digest[: len(weights.sha256)]}, published is {weights.sha256}"
    pinned = _pins(path.parent).get(path.name)
    if pinned in (None, digest):
        return None
    return f"sha256 {digest[:12]}, at the first download it was {pinned[:12]}, noted in {path.parent / PINS}"


def _download(url: str, path: Path, progress: Progress | None) -> Path:
    """The complete download of ``url`` beside ``path``, as ``<name>.part``; a cut one goes on while there is headway."""
    part = path.with_name(path.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, part, progress)
            return part
        except (OSError, http.client.HTTPException):
            after = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS or after <= before:
                raise
    raise AssertionError("unreachable")


def _receive(url: str, part: Path, progress: Progress | None) -> None:
    """One request: the rest of a part whose version the server still has, else the whole file from its beginning."""
    headers = {"User-Agent": "vidcam", "Accept-Encoding": "identity"}
    have, version = _resumable(part)
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as err:
        err.close()
        if have and err.code == 416:  # what is there is no beginning of what the server has
            _discard(part)
            return _receive(url, part, progress)
        raise
    with response:
        start = have if response.status == 206 else 0
        if start and not (
            response.headers.get("Content-Range", "").startswith(f"bytes {have}-") and version in _versions(response.headers)
        ):
            _discard(part)
            return _receive(url, part, progress)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with open(part, "r+b" if start else "wb") as file:
            if not start:  # only now: the old part is gone, so the note can never belong to other bytes
                _version_file(part).write_text(next(iter(_versions(response.headers)), ""), encoding="utf-8")
            file.seek(start)
            done = start
            while block := response.read1(BLOCK):
                file.write(block)
                done += len(block)
                if progress:
                    progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut after {done} of {total} bytes")


def _versions(headers: Mapping[str, str]) -> list[str]:
    """What tells this version of the file from any other, surest first: a strong ETag, the date."""
    known = [headers.get("ETag", ""), headers.get("Last-Modified", "")]
    return [version for version in known if version and not version.startswith("W/")]


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _resumable(part: Path) -> tuple[int, str]:
    """The bytes that can be kept and the version they belong to; 0 where that is unknown."""
    with suppress(OSError):
        version = _version_file(part).read_text(encoding="utf-8")
        if version:
            return part.stat().st_size, version
    return 0, ""


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _reason(err: Exception) -> str:
    if isinstance(err, urllib.error.HTTPError):
        return f"the server answered {err.code} {err.reason}"
    if isinstance(err, urllib.error.URLError):
        err = err.reason if isinstance(err.reason, Exception) else err
    if isinstance(err, TimeoutError):
        return f"no answer for {TIMEOUT_S:g} s"
    return str(err) or type(err).__name__
