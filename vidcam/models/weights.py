"""Weight files: where they are, how they are downloaded, and whether they are the right ones.

A file is looked for in the folder named by ``VIDCAM_WEIGHTS``, then in the cache (``VIDCAM_CACHE``, or the user's cache
folder), then in the package, and only then downloaded. With ``VIDCAM_OFFLINE=1`` nothing is downloaded.
"""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import DownloadError, UsageError, WeightsError
from vidcam.io.files import sha256_of
from vidcam.models.spec import Weights

if TYPE_CHECKING:
    pass

__all__ = ["Progress", "cache_dir", "fetch", "find", "is_offline", "sha256_of", "verify"]

Progress = Callable[[int, int | None], None]
"""Is called with the bytes received and the bytes in all (None if the server does not say)."""

TIMEOUT_S = 5.0
ATTEMPTS = 4
BLOCK = 1 << 18
PINS = "pins.json"
SHIPPED = Path(__file__).with_name("shipped")


def cache_dir() -> Path:
    """Return the folder of downloaded weights; it may not exist yet.

    It is ``VIDCAM_CACHE``, or vidcam's folder in the user's cache.
    """
    named = os.environ.get("VIDCAM_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("vidcam", appauthor=False))


def is_offline() -> bool:
    """Return whether ``VIDCAM_OFFLINE`` forbids downloads."""
    return os.environ.get("VIDCAM_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def find(weights: Weights) -> Path | None:
    """Return the file of these weights on this machine; None if there is none.

    It is looked for in the folder ``VIDCAM_WEIGHTS``, in the cache and in the package; in each, an imported file is preferred to
    a downloaded one.

    Raises:
        UsageError: ``VIDCAM_WEIGHTS`` is not a folder.
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
    """Return the file of these weights, downloaded into the cache if it is not on this machine.

    An interrupted download is continued. The file is checked against the published checksum, or, if none is published, against
    the one of the first download. It appears under its name complete or not at all.

    Raises:
        DownloadError: The download fails or is forbidden; the message says what to do instead.
        WeightsError: The checksum is wrong.
    """
    path = find(weights)
    if path is not None:
        return path
    if "://" not in weights.url:
        raise WeightsError(f"{weights.url} is part of the package, but not there: install vidcam again")
    path = cache_dir() / weights.filename
    if is_offline():
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


def verify(path: Path, weights: Weights) -> str:
    """Return the SHA-256 of a file that claims to be these weights.

    An imported file has no published checksum: it was made on this machine from a file that was checked.

    Raises:
        WeightsError: It differs from the published or pinned checksum.
    """
    digest = sha256_of(path)
    reason = None if path.name == weights.imported else _mismatch(digest, path, weights)
    if reason:
        raise WeightsError(
            f"{path} is not the file that {weights.url} stands for ({reason}): delete it so that it is fetched again, "
            "or give weights of your own by their path"
        )
    return digest


def _pins(folder: Path) -> dict[str, str]:
    """Return the pinned checksums in a folder, by file name; raise WeightsError if they cannot be read."""
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
    """Store the checksum of a file without a published one in ``pins.json`` beside it."""
    pins = _pins(path.parent) | {path.name: digest}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PINS)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(pins, file, indent=1, sort_keys=True)
    os.replace(temporary, path.parent / PINS)


def _mismatch(digest: str, path: Path, weights: Weights) -> str | None:
    """Return what is wrong with a checksum; None if it is right."""
    if weights.sha256:
        if digest.startswith(weights.sha256.lower()):
            return None
        return f"sha256 {digest[: len(weights.sha256)]}, published is {weights.sha256}"
    pinned = _pins(path.parent).get(path.name)
    if pinned in (None, digest):
        return None
    return f"sha256 {digest[:12]}, at the first download it was {pinned[:12]}, noted in {path.parent / PINS}"


def _download(url: str, path: Path, progress: Progress | None) -> Path:
    """Download ``url`` to ``<name>.part`` beside ``path``.

    Continue an interrupted download as long as it makes progress.
    """
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
    """Request the rest of a part if the server still has its version, else the whole file."""
    headers = {"User-Agent": "vidcam", "Accept-Encoding": "identity"}
    have, version = _resumable(part)
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as err:
        err.close()
        if have and err.code == 416:  # the part does not match the file of the server
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
            if not start:  # written after the old part is gone, so the note never belongs to other bytes
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
    """Return what identifies this version of the file, most reliable first: a strong ETag, then the date."""
    known = [headers.get("ETag", ""), headers.get("Last-Modified", "")]
    return [version for version in known if version and not version.startswith("W/")]


def _version_file(part: Path) -> Path:
    """Return the path of the note that holds the version of a part."""
    return part.with_name(part.name + ".version")


def _resumable(part: Path) -> tuple[int, str]:
    """Return the number of bytes that can be kept and the version they belong to; 0 if that is unknown."""
    with suppress(OSError):
        version = _version_file(part).read_text(encoding="utf-8")
        if version:
            return part.stat().st_size, version
    return 0, ""


def _discard(part: Path) -> None:
    """Delete a part and its note."""
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _reason(err: Exception) -> str:
    """Return the cause of a failed download for the user."""
    if isinstance(err, urllib.error.HTTPError):
        return f"the server answered {err.code} {err.reason}"
    if isinstance(err, urllib.error.URLError):
        err = err.reason if isinstance(err.reason, Exception) else err
    if isinstance(err, TimeoutError):
        return f"no answer for {TIMEOUT_S:g} s"
    return str(err) or type(err).__name__
