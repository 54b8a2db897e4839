"""Networks as ONNX or OpenVINO files whose outputs include the evidence, for programs without vidcam."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from vidcam.models.loading import LoadedModel
    from vidcam.models.spec import ModelSpec
    from vidcam.models.weights import Progress

__all__ = ["export", "export_network"]


def export(
    model: str,
    output: str | os.PathLike[str],
    *,
    class_index: bool = False,
    model_api: bool = False,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    trust_code: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    notify: Callable[[str], object] | None = None,
) -> Path:
    """Write a model as a file that computes its answer and the evidence for it.

    The evidence is that of ``cam`` (Zhou et al. 2016, eq. 2, https://arxiv.org/abs/1512.04150): signed, in the unit of the
    logits, not scaled. The file takes one normalised clip ``(1,3,T,H,W) float32`` and gives ``logits (1,K)``, ``saliency_map
    (1,K,T',h,w)``, ``feature_vector (1,C)`` and ``bias (1,K)``; the sum of a map and the bias are the logit. docs/export.md
    describes what the file says about itself.

    Args:
        model: The model, as in :func:`vidcam.open_engine`, ``auto`` included. Its evidence must be exact: an average of cells,
            and linear layers.
        output: ``NAME.onnx``, or ``NAME.xml`` for OpenVINO, whose weights are put beside it, in ``NAME.bin``.
        class_index: Compute the evidence for one class only, which a second input ``class_index (1,) int64`` names.
        model_api: Take ``(1,1,3,T,H,W)``, and describe the file as OpenVINO's Model API for actions needs it.
        weights: A weight file that replaces the official one.
        labels: A file of labels that replaces the model's own.
        layer: The dotted name of another layer to explain.
        facts: Facts about a custom network or a model of transformers.
        trust_code: Allow a trained folder or a repository to run the code that it brings.
        overwrite: Replace files that exist.
        progress: Is called during a download with the bytes received and the bytes in all.
        notify: Is called with each note about the model, such as which one ``auto`` stands for.

    Returns:
        The path of the file.

    Raises:
        IncompatibleError: The evidence of this model has no closed form.
        UsageError: An argument is not allowed, or the package onnx is missing.
        OutputError: The file cannot be written.
        VidcamError: The network cannot be converted, or the file would give other results.

    Example:
        >>> import vidcam
        >>> vidcam.export("mini", "mini.xml").name
        'mini.xml'
    """
    from vidcam.engine.graph_file import is_graph
    from vidcam.exporting.writing import check_outputs

    path = Path(output).expanduser()
    if is_graph(model):
        raise UsageError(f"{model} is exported already: name the model that it was made from")
    if class_index and model_api:
        raise UsageError("OpenVINO's Model API gives a network nothing but a clip: leave out --class-index or --model-api")
    check_outputs(path, overwrite=overwrite)
    _refuse_early(model, layer)
    from vidcam.engine import resolve

    resolved, notes = resolve(model, weights, labels, layer, facts, (), trust_code, progress)
    if notify is not None:
        for note in notes:
            notify(note)
    loaded = resolved.load()
    export_network(loaded, path, class_index=class_index, model_api=model_api, overwrite=overwrite)
    return path


def export_network(
    model: LoadedModel, path: Path, *, class_index: bool = False, model_api: bool = False, overwrite: bool = False
) -> None:
    """Write a network that is loaded already; the arguments and errors are those of :func:`export`."""
    spec = model.spec
    if spec.head is None:
        raise _not_exact(spec)
    from vidcam.engine.base import make_check_frames, normalise_array
    from vidcam.engine.network import TorchModel
    from vidcam.exporting.evidence import WithEvidence
    from vidcam.exporting.metadata import describe, model_api_info, time_shares, to_text
    from vidcam.exporting.writing import write_onnx, write_openvino
    from vidcam.methods.receptive_field import layer_geometry

    network = TorchModel(model.module, spec)
    placements = layer_geometry(network)
    layout = "BSCTHW" if model_api else "BCTHW"
    facts = describe(model, placements, layout=layout, one_class=class_index)
    with_evidence = WithEvidence(network, time_shares(placements), one_class=class_index)
    clip = normalise_array(make_check_frames(spec), mean=spec.mean, std=spec.std)
    clip = clip[:, None] if model_api else clip
    info = model_api_info(facts) if model_api else {}
    if path.suffix == ".onnx":
        metadata = to_text(facts) | {f"model_info {key}": value for key, value in info.items()}
        write_onnx(path, with_evidence, clip, metadata, overwrite=overwrite)
    else:
        write_openvino(path, with_evidence, clip, to_text(facts), info, layout=layout.replace("B", "N"), overwrite=overwrite)


def _refuse_early(model: str, layer: str | None) -> None:
    """Refuse a model of the table before its weights are fetched."""
    from vidcam.engine import choose_default_model
    from vidcam.models.table import get_spec, list_models

    name = choose_default_model()[0] if model == "auto" else model
    if layer is None and name in list_models() and get_spec(name).head is None:
        raise _not_exact(get_spec(name), asked=model)


def _not_exact(spec: ModelSpec, *, asked: str = "") -> IncompatibleError:
    """Return the error for a model whose evidence has no closed form; it names those that have one."""
    from vidcam.models.loading import is_available
    from vidcam.models.table import list_specs

    exact = [row for row in list_specs() if row.head is not None]
    here = _listed(row.name for row in exact if is_available(row))
    others = _listed(row.name for row in exact if not is_available(row))
    who = f"{spec.name}, which auto stands for here," if asked == "auto" else spec.name
    return IncompatibleError(
        f"{who} cannot be exported: its answer is not an average of cells and linear layers, so no file can compute its evidence "
        f"exactly. Models that can be exported, with weights on this machine: {here}; with weights to download: {others}; what "
        "`vidcam train` made from one of them; your own networks that end so; and VideoMAE of Hugging Face (hf:REPOSITORY)"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
