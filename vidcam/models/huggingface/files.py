"""The files of a checkpoint: a folder on this machine, or a repository of the Hugging Face hub in that hub's own cache.

``HF_HOME``, ``HF_ENDPOINT`` and ``HF_TOKEN`` work as everywhere; with ``VIDCAM_OFFLINE=1`` only what is on this machine is used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidcam.errors import DownloadError, UsageError, WeightsError
from vidcam.models.huggingface import PREFIX
from vidcam.models.weights import is_offline, sha256_of

__all__ = ["find_folder", "weight_checksum", "weight_files"]

FACTS = ("*.json", "*.txt", "*.model", "*.py")
"""Everything that is no weight: configs, tokenisers, and the code that only ``--trust-remote-code`` runs."""

SAFE, PICKLED = "*.safetensors", "pytorch_model*.bin"
"""Weights; the second kind, which torch reads without running code, is fetched only if there are none of the first."""


def find_folder(name: str) -> tuple[Path, str]:
    """Return the folder of a checkpoint and the name of its repository, fetched if it is not on this machine.

    Args:
        name: ``hf:FOLDER``, ``hf:REPOSITORY`` or ``hf:REPOSITORY@REVISION``.

    Returns:
        The folder, and the repository; for a folder of the user its own name.

    Raises:
        UsageError: It is neither a folder nor the name of a repository.
        DownloadError: The repository cannot be fetched, or may not be.
        WeightsError: There are no weights in it.
    """
    text = name.removeprefix(PREFIX)
    folder = Path(text).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"{folder} has no config.json, so it is no folder that transformers saved: check the path")
        _check_weights(name, folder)
        return folder, folder.resolve().name
    repository, _, revision = text.partition("@")
    folder = _fetch(name, repository, revision or None, (*FACTS, SAFE))
    if not weight_files(folder):
        folder = _fetch(name, repository, revision or None, (*FACTS, PICKLED))
    _check_weights(name, folder)
    return folder, repository


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a folder: those of safetensors, or the others if there are none."""
    return sorted(folder.glob(SAFE)) or sorted(folder.glob(PICKLED))


def weight_checksum(folder: Path) -> str:
    """Return the SHA-256 of the weight file; of several, that of their checksums one after the other."""
    sums = [sha256_of(path) for path in weight_files(folder)]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _check_weights(name: str, folder: Path) -> None:
    if not weight_files(folder):
        raise WeightsError(f"{name} has no weights: {folder} should hold model.safetensors, as save_pretrained writes it")


def _fetch(name: str, repository: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        path = snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), local_files_only=is_offline(), library_name="vidcam"
        )
        return Path(path)
    except errors.HFValidationError as err:
        raise UsageError(
            f"{name} is no folder on this machine and no name of a repository: give hf:OWNER/NAME, or hf:FOLDER"
        ) from err
    except errors.GatedRepoError as err:
        raise DownloadError(
            f"{repository} asks for its terms to be accepted on huggingface.co first; then set HF_TOKEN to a token of yours"
        ) from err
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as err:
        at = f" at {revision}" if revision else ""
        raise DownloadError(f"huggingface.co has no repository {repository}{at} that you may read: check the name") from err
    except errors.LocalEntryNotFoundError as err:
        why = "and VIDCAM_OFFLINE forbids fetching it: unset it" if is_offline() else "and the hub cannot be reached: try again"
        raise DownloadError(f"{repository} is not on this machine, {why}, or give the folder of a copy as hf:FOLDER") from err
    except (errors.HfHubHTTPError, OSError) as err:
        raise DownloadError(f"{repository} cannot be fetched: {str(err).strip().splitlines()[0]}") from err
    finally:
        if shown:
            enable_progress_bars()
