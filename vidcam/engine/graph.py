"""A plain ONNX or OpenVINO file as a model: explained by what needs its answers only, and exactly if its last layers allow.

A file has no gradients and no layers with names. But if its graph ends in an average over all cells and a linear layer, and these
give the logits, then its cells are a further output and CAM is exact, as for any network with such a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.engine.base import Float32Array, Linear, head_logits
from vidcam.engine.convert import ov
from vidcam.engine.openvino import Compiled, OpenVINOEngine
from vidcam.errors import IncompatibleError, UsageError
from vidcam.models.custom_facts import clip_facts, given_labels
from vidcam.models.labels import make_distinct
from vidcam.models.spec import Head, ModelSpec
from vidcam.models.weights import sha256_of

if TYPE_CHECKING:
    import os

    from torch import nn

__all__ = ["open_graph"]

TOLERANCE = 1e-4
"""The largest difference between the closed form and the logits, relative to the largest evidence, that counts as exact."""

STEPS = 16
"""The largest number of operations between the cells and the logits."""


def open_graph(
    name: str,
    *,
    labels: str | os.PathLike[str] | None = None,
    facts: Mapping[str, object] | None = None,
    threads: int | None = None,
) -> OpenVINOEngine:
    """Open a network of a file in OpenVINO.

    Args:
        name: A ``.onnx`` or ``.xml`` file. Its one input is normalised clips ``(B,3,T,H,W)`` or ``(B,T,3,H,W)``; its first output
            is logits ``(B,K)``, or their softmax or sigmoid, which is taken off.
        labels: A file of labels; ``class 0`` and so on without one.
        facts: Facts about the clips, see :func:`~vidcam.models.custom_facts.clip_facts`. What the input's shape says need not be
            stated.
        threads: The number of threads; None for all cores.

    Returns:
        The engine; ``cam`` works on it if the graph ends in an average and a linear layer.

    Raises:
        UsageError: The file is no network, or not one of clips, or a fact or the labels do not fit.
    """
    path = Path(name).expanduser()
    try:
        graph = ov.Core().read_model(path)
    except RuntimeError as err:
        reason = (str(err).strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"{name} cannot be read as a network ({reason}): export it again") from err
    frames_first, sizes = _input_facts(name, graph)
    stated = dict(facts or {})
    shape, (spec_facts, note) = sizes | stated, clip_facts(name, sizes | stated)
    if clash := [key for key in stated if key in sizes and stated[key] != sizes[key]]:
        raise UsageError(f"{name} takes clips with {clash[0]} {sizes[clash[0]]}, got {shape[clash[0]]}: leave the fact out")
    clip = 1, 3, spec_facts["num_frames"], *spec_facts["crop"]
    notes = [note] if note else []
    graph, activation = _with_logits(name, graph, clip, frames_first=frames_first)
    if activation:
        notes.append(f"{name} ends in a {activation}, which is taken off: vidcam explains what comes before it, the logits")
    outputs = int(graph.output(0).shape[1])
    names = given_labels(name, labels, outputs)
    checksum = sha256_of(path)
    if path.suffix == ".xml" and path.with_suffix(".bin").is_file():
        checksum = f"{checksum[:32]}{sha256_of(path.with_suffix('.bin'))[:32]}"

    def build() -> nn.Module:
        raise IncompatibleError(f"{name} is a file without gradients: use 'occlusion', 'rise' or 'temporal-mask'")

    spec = ModelSpec(
        name=name,
        title=f"{path.name}, yours",
        family="custom",
        build=build,
        labels=lambda: names,
        **spec_facts,
        target_layer="",
        head=None,
        time_cells=(),
        paper="",
        architecture=f"file {checksum}",
        differentiable=False,
        multi_label=activation == "sigmoid" or outputs == 1,
    )
    return _opened(spec, _distinct(names, outputs), checksum, graph, threads, notes)


def _distinct(names: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    return (names[0], f"not {names[0]}") if outputs == 1 else make_distinct(names)


def _input_facts(name: str, graph: Any) -> tuple[bool, dict[str, Any]]:
    """Return whether the frames come before the colours, and the facts that the shape of the input states."""
    if len(graph.inputs) != 1:
        raise UsageError(f"{name} has {len(graph.inputs)} inputs: a network of clips has one")
    sides = [d.get_length() if d.is_static else None for d in graph.input(0).partial_shape]
    if len(sides) != 5 or 3 not in (sides[1], sides[2]):
        shown = ", ".join("?" if side is None else str(side) for side in sides)
        raise UsageError(f"{name} takes ({shown}): a network of clips takes (B,3,T,H,W) or (B,T,3,H,W)")
    frames_first = sides[1] != 3
    frames, height, width = sides[1 if frames_first else 2], sides[3], sides[4]
    facts: dict[str, Any] = {} if frames is None else {"frames": frames}
    if height is not None and width is not None:
        facts["crop"] = height, width
    return frames_first, facts


def _with_logits(name: str, graph: Any, clip: tuple[int, ...], *, frames_first: bool) -> tuple[Any, str]:
    """Return the graph from ``clip (1,3,T,H,W)`` to logits ``(1,K)``, and the name of the activation that was taken off."""
    ops = ov.opset13
    old = graph.get_parameters()[0]
    shape = [clip[0], clip[2], clip[1], *clip[3:]] if frames_first else list(clip)
    try:
        graph.reshape(ov.PartialShape(shape))
    except RuntimeError as err:
        raise UsageError(
            f"{name} does not take one clip of shape {tuple(shape)}: state --fact frames=N, --fact crop=H,W"
        ) from err
    source = graph.get_results()[0].input_value(0)
    activation = {"Softmax": "softmax", "Sigmoid": "sigmoid"}.get(source.get_node().get_type_name(), "")
    if activation:
        source = source.get_node().input_value(0)
    if len(source.get_shape()) != 2 or source.get_shape()[0] != 1:
        raise UsageError(
            f"the first output of {name} has the shape {tuple(source.get_shape())}: it should be logits (1, classes)"
        )
    new = ops.parameter(list(clip), np.float32)
    first = ops.transpose(new, np.array([0, 2, 1, 3, 4])) if frames_first else new
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(first.output(0))
    model = ov.Model([ops.result(source)], [new], Path(name).stem)
    passes = ov.passes.Manager()
    passes.register_pass(ov.passes.ConstantFolding())
    passes.run_passes(model)
    return model, activation


def _opened(
    spec: ModelSpec, labels: tuple[str, ...], checksum: str, graph: Any, threads: int | None, notes: list[str]
) -> OpenVINOEngine:
    """Return the engine, with the cells of the last layer as a further output if the closed form is exact there."""
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads

    def compiled(model: Any, row: ModelSpec, linears: tuple[Linear, ...]) -> Compiled:
        network = ov.Core().compile_model(model, "CPU", config)
        return Compiled(network, row, linears, lambda: row.build(), bf16=False)

    logits = graph.get_results()[0].input_value(0)
    found = _pooled_and_linear(graph)
    if len(labels) > logits.get_shape()[1]:  # one output z becomes (z, -z)
        logits = ov.opset13.concat([logits, ov.opset13.negative(logits)], 1).output(0)
    plain = compiled(ov.Model([ov.opset13.result(logits)], graph.get_parameters()), spec, ())
    if found is not None:
        cells, linear = found
        layer = cells.get_node().get_friendly_name()
        if len(labels) > len(linear[1]):
            linear = np.concatenate([linear[0], -linear[0]]), np.concatenate([linear[1], -linear[1]])
        grid: Any = tuple(cells.get_shape()[2:])
        exact = replace(spec, target_layer=layer, grid=grid, time_cells=(grid[0],), head=Head((f"{layer}, its linear layer",)))
        both = [ov.opset13.result(logits), ov.opset13.result(cells)]
        candidate = compiled(ov.Model(both, graph.get_parameters()), exact, (linear,))
        if _is_exact(candidate, exact):
            return OpenVINOEngine.of_file(candidate, labels, checksum, notes=notes)
    notes.append(
        f"{spec.name} is a file without gradients, and no average and linear layer at its end give its logits: what needs only "
        "its answers works on it, such as occlusion"
    )
    return OpenVINOEngine.of_file(plain, labels, checksum, notes=notes)


def _pooled_and_linear(graph: Any) -> tuple[Any, Linear] | None:
    """Return what may be the cells ``(1,C,T',h,w)``, and the linear layer that follows their average; None if nothing may be.

    The cells are the last output of that form on the only way to the logits. The layer is what unit vectors give in place of the
    average, so it does not matter which operations compute it; whether it is linear is measured by :func:`_is_exact`.
    """
    source = graph.output(0).get_node().input_value(0)
    for _ in range(STEPS):
        shape = list(source.get_shape())
        if len(shape) == 5 and shape[0] == 1 and int(np.prod(shape[2:])) > 1:
            return source, _linear_behind(graph, source)
        ways = [way for way in source.get_node().input_values() if not _is_constant(way)]
        if len(ways) != 1:
            return None
        source = ways[0]
    return None


def _is_constant(source: Any) -> bool:
    """Return whether this is a constant, also one that is stored in half precision."""
    node = source.get_node()
    return node.get_type_name() == "Constant" or (node.get_type_name() == "Convert" and _is_constant(node.input_value(0)))


def _linear_behind(graph: Any, cells: Any) -> Linear:
    """Return weight and bias of the map from the average of the cells to the logits, if it is linear."""
    part = graph.clone()
    name, shape = cells.get_node().get_friendly_name(), list(cells.get_shape())
    old = next(node for node in part.get_ordered_ops() if node.get_friendly_name() == name).output(cells.get_index())
    new = ov.opset13.parameter(shape, np.float32)
    for target in old.get_target_inputs():
        target.replace_source_output(new.output(0))
    request = (
        ov.Core().compile_model(ov.Model(part.get_results(), [new]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ).create_infer_request()

    def logits(channel: int | None) -> Float32Array:
        given = np.zeros(shape, np.float32)
        if channel is not None:
            given[:, channel] = 1
        answer: Float32Array = request.infer([given]).to_tuple()[0][0].copy()
        return answer

    bias = logits(None)
    return np.stack([logits(i) - bias for i in range(shape[1])], axis=1), bias


def _is_exact(candidate: Compiled, spec: ModelSpec) -> bool:
    """Return whether the average of the cells through the linear layer gives the logits, for a usual clip and a glaring one."""
    assert spec.head is not None
    noise = np.random.default_rng(0).standard_normal((1, 3, spec.num_frames, *spec.crop)).astype(np.float32)
    clips: list[Float32Array] = [noise, 3 * noise[:, :, ::-1].copy()]
    for clip in clips:
        output = candidate.forward(clip)
        expected = head_logits(candidate.classifiers(), output.activations, spec.head)
        evidence = np.abs(output.logits - candidate.classifiers()[-1][1]).max()
        if not evidence > 0 or np.abs(expected - output.logits).max() > TOLERANCE * evidence:
            return False
    return True
