"""Writes a network with its evidence as ONNX or as OpenVINO's own files, and checks what was written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.convert import get_core, ov, trace
from vidcam.engine.hooks import frozen
from vidcam.errors import UsageError, VidcamError
from vidcam.exporting.evidence import OUTPUTS, WithEvidence
from vidcam.io.extras import require_extra
from vidcam.io.files import atomic_write, check_output

if TYPE_CHECKING:
    from vidcam.engine.base import Float32Array

__all__ = ["EXACT", "check_outputs", "write_onnx", "write_openvino"]

INPUTS = ("clips", "class_index")

EXACT = 1e-4
"""The largest difference between what a file and torch compute, relative to the largest value."""

OPSET = 17
"""The version of ONNX's operations: the first that has layer norms, which ONNX Runtime knows since 2022."""

LARGEST_ONNX = 2**31 - 2**24
"""The bytes that an ONNX file can hold, less some for its graph."""


def check_outputs(path: Path, *, overwrite: bool) -> None:
    """Raise if the file, or one of its files, cannot be written, or if a library that writes it is missing."""
    if path.suffix == ".onnx":
        require_extra("export", "an ONNX file")
    elif path.suffix != ".xml":
        raise UsageError(f"the output is a file NAME.onnx (ONNX) or NAME.xml (OpenVINO), got {str(path)!r}")
    for file in [path] if path.suffix == ".onnx" else [path, path.with_suffix(".bin")]:
        check_output(file, overwrite=overwrite)


def write_onnx(
    path: Path, network: WithEvidence, clip: Float32Array, metadata: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """Write an ONNX file for inputs of the shape of ``clip``, with the ``metadata`` as its properties.

    Raises:
        UsageError: The network is too large for an ONNX file.
        VidcamError: It cannot be converted, or the file gives other results than torch.
        OutputError: The file cannot be written.
    """
    import onnx

    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before ONNX Runtime is imported, so that it reports nothing
    import onnxruntime

    if sum(p.nbytes for p in network.parameters()) > LARGEST_ONNX:
        raise UsageError(
            f"{network.spec.name} is too large for an ONNX file, which holds 2 GB: write OpenVINO's own, -o NAME.xml"
        )
    arguments = _arguments(network, clip)
    with atomic_write(path, overwrite=overwrite) as part:
        with frozen(network), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated; see vidcam.engine.convert
            expected = [t.numpy() for t in network(*arguments)]
            try:
                torch.onnx.export(
                    network,
                    arguments,
                    str(part),
                    dynamo=False,
                    opset_version=OPSET,
                    do_constant_folding=False,  # the head's layers keep their names; who runs the file folds constants anyway
                    input_names=list(INPUTS[: len(arguments)]),
                    output_names=list(network.output_names),
                )
            except (RuntimeError, torch.onnx.errors.OnnxExporterError) as err:
                raise _unconvertible(network, err) from err
        model = onnx.load(part)
        for output in list(model.graph.output)[len(OUTPUTS) :]:  # the cells keep their names inside the graph
            model.graph.output.remove(output)
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        onnx.save(model, part)
        session = onnxruntime.InferenceSession(part)  # two libraries read an operation in two ways if it is no plain one
        _check(network, session.run(None, dict(zip(INPUTS, _arrays(arguments), strict=False))), expected)
        _check(network, _run_openvino(get_core().read_model(part), arguments), expected)


def write_openvino(
    path: Path,
    network: WithEvidence,
    clip: Float32Array,
    metadata: Mapping[str, str],
    model_info: Mapping[str, str],
    *,
    layout: str,
    overwrite: bool = False,
) -> None:
    """Write OpenVINO's ``NAME.xml`` and ``NAME.bin``, as :func:`write_onnx` writes an ONNX file.

    The ``metadata`` become its runtime information, and ``model_info`` the group of that name in it, which Model API reads.
    """
    arguments = _arguments(network, clip)
    with frozen(network):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated
            expected = [t.numpy() for t in network(*arguments)]
        try:
            graph = trace(network, arguments)
        except Exception as err:  # two other libraries may raise anything
            raise _unconvertible(network, err) from err
    graph.reshape({i: ov.PartialShape(list(argument.shape)) for i, argument in enumerate(arguments)})
    graph.get_parameters()[0].set_layout(ov.Layout(layout))
    kept = {name for pair in network.layers for name in pair}
    for node in graph.get_ordered_ops():  # names that tracing gave would pass for those of outputs
        for output in node.outputs():
            output.get_tensor().set_names({name for name in output.get_names() if name.rpartition(".")[2] in kept})
    for source, name in zip(graph.inputs, INPUTS, strict=False):
        source.get_tensor().set_names({name})
    results = list(graph.get_results())
    for result, name in zip(results, network.output_names, strict=True):
        result.input_value(0).get_tensor().set_names({name})
        if name in OUTPUTS:
            result.set_friendly_name(name)
        else:
            graph.remove_result(result)
    for key, text in metadata.items():
        graph.set_rt_info(text, [key])
    for key, text in model_info.items():
        graph.set_rt_info(text, ["model_info", key])
    with atomic_write(path, overwrite=overwrite) as part, atomic_write(path.with_suffix(".bin"), overwrite=overwrite) as weights:
        ov.serialize(graph, part, weights)
        _check(network, _run_openvino(get_core().read_model(part, weights), arguments), expected)


def _arguments(network: WithEvidence, clip: Float32Array) -> tuple[Tensor, ...]:
    return (torch.from_numpy(clip), *([torch.tensor([0])] if network.one_class else []))


def _unconvertible(network: WithEvidence, err: Exception) -> VidcamError:
    reason = (str(err).strip().splitlines() or [type(err).__name__])[-1]
    return VidcamError(f"{network.spec.name} cannot be converted: {reason}")


def _arrays(arguments: tuple[Tensor, ...]) -> list[Any]:
    return [t.numpy() for t in arguments]


def _run_openvino(graph: Any, arguments: tuple[Tensor, ...]) -> list[Float32Array]:
    compiled = get_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(value) for value in compiled(_arrays(arguments)).to_tuple()]


def _check(network: WithEvidence, found: list[Float32Array], expected: list[Float32Array]) -> None:
    """Raise VidcamError if the file does not compute what torch does, or if its evidence does not add up to the logits."""
    for name, a, b in zip(OUTPUTS, found, expected, strict=False):
        error = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-12) if a.shape == b.shape else np.inf
        if not error <= EXACT:
            raise VidcamError(
                f"{network.spec.name} cannot be exported: its {name} is off by {error:.1e} of its scale in the file"
            )
    logits, maps, _, bias = found
    shown = logits[:, :1] if network.one_class else logits
    error = np.abs(maps.sum((2, 3, 4)) + bias - shown).max() / max(float(np.abs(maps).sum((2, 3, 4)).max()), 1e-12)
    if not error <= EXACT:
        raise VidcamError(
            f"{network.spec.name} cannot be exported: its evidence and bias miss the logit by {error:.1e}, so its head is not "
            "what its row says"
        )
