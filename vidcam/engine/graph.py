"""A plain ONNX or OpenVINO file as a model: explained by what needs its answers only, and exactly if its last layers allow.

A file has no gradients and no layers with names. But if its graph ends in an average over all cells and a linear layer, and these
give the logits, then its cells are a further output and CAM is exact, as for any network with such a head. A file that vidcam
exported says what its cells and its head are, and everything else that vidcam needs to know (:mod:`vidcam.engine.exported`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.engine.base import Float32Array, Linear, head_logits
from vidcam.engine.convert import get_core, ov
from vidcam.engine.exported import GraphHead, clip_facts_of, head_of, read_facts, trained_facts_of
from vidcam.engine.openvino import Compiled, OpenVINOEngine, cpu_config
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
        name: A ``.onnx`` or ``.xml`` file. Its first input is normalised clips ``(B,3,T,H,W)``, ``(B,T,3,H,W)`` or
            ``(B,1,3,T,H,W)``; its first output is logits ``(B,K)``, or their softmax or sigmoid, which is taken off.
        labels: A file of labels; without one, those that the file names, or ``class 0`` and so on.
        facts: Facts about the clips, see :func:`~vidcam.models.custom_facts.clip_facts`. What the file or the input's shape says
            need not be stated.
        threads: The number of threads; None for all cores.

    Returns:
        The engine; ``cam`` works on it if the graph ends in an average and a linear layer.

    Raises:
        UsageError: The file is no network, or not one of clips, or a fact or the labels do not fit.
    """
    path = Path(name).expanduser()
    try:
        graph = get_core().read_model(path)
    except RuntimeError as err:
        reason = (str(err).strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"{name} cannot be read as a network ({reason}): export it again") from err
    axes, sizes = _input_facts(name, graph)
    exported = read_facts(name, graph)
    spec_facts, notes = _clip_facts(name, sizes, exported, dict(facts or {}))
    head = None if exported is None else head_of(graph, exported)
    graph, activation = _with_logits(name, graph, (1, 3, spec_facts["num_frames"], *spec_facts["crop"]), axes)
    if activation:
        notes.append(f"{name} ends in a {activation}, which is taken off: vidcam explains what comes before it, the logits")
    outputs = int(graph.output(0).shape[1])
    names = tuple(exported["labels"]) if exported is not None and labels is None else given_labels(name, labels, outputs)
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
    if exported is not None:
        spec = replace(spec, **trained_facts_of(exported))
    return _opened(spec, _distinct(names, outputs), checksum, graph, head, threads, notes)


def _clip_facts(
    name: str, sizes: Mapping[str, Any], exported: Mapping[str, Any] | None, stated: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return how clips are made, from the shape of the input, what the file says and what the user states, and notes."""
    if clash := [key for key in stated if key in sizes and stated[key] != sizes[key]]:
        raise UsageError(f"{name} takes clips with {clash[0]} {sizes[clash[0]]}, got {stated[clash[0]]}: leave the fact out")
    if exported is None:
        facts, note = clip_facts(name, {**sizes, **stated})
        return facts, [note] if note else []
    known = {**clip_facts_of(exported), **sizes, **stated}
    facts, _ = clip_facts(name, {"resize": 1, **known})
    return facts if "resize" in known else facts | {"resize": "fit"}, []


def _distinct(names: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    return (names[0], f"not {names[0]}") if outputs == 1 else make_distinct(names)


def _input_facts(name: str, graph: Any) -> tuple[str, dict[str, Any]]:
    """Return the axes of the clips, such as ``BCTHW``, and the facts that their shape states."""
    if len(graph.inputs) != 1 and not (len(graph.inputs) == 2 and "class_index" in graph.input(1).get_names()):
        raise UsageError(f"{name} has {len(graph.inputs)} inputs: a network of clips has one")
    sides = [d.get_length() if d.is_static else None for d in graph.input(0).partial_shape]
    axes = "BSCTHW" if len(sides) == 6 and sides[1:3] == [1, 3] else "BCTHW" if sides[1:2] == [3] else "BTCHW"
    if len(sides) != len(axes) or sides[axes.index("C")] != 3:
        shown = ", ".join("?" if side is None else str(side) for side in sides)
        raise UsageError(f"{name} takes ({shown}): a network of clips takes (B,3,T,H,W) or (B,T,3,H,W)")
    frames, height, width = (sides[axes.index(axis)] for axis in "THW")
    facts: dict[str, Any] = {} if frames is None else {"frames": frames}
    if height is not None and width is not None:
        facts["crop"] = height, width
    return axes, facts


def _with_logits(name: str, graph: Any, clip: tuple[int, ...], axes: str) -> tuple[Any, str]:
    """Return the graph from ``clip (1,3,T,H,W)`` to logits ``(1,K)``, and the name of the activation that was taken off.

    ``axes`` are those that the graph takes; an axis S has the length 1.
    """
    ops = ov.opset13
    old = graph.get_parameters()[0]
    sizes = dict(zip("BCTHW", clip, strict=True), S=1)
    shape = [sizes[axis] for axis in axes]
    try:
        graph.reshape({0: ov.PartialShape(shape)})
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
    first = new if axes == "BCTHW" else ops.transpose(new, np.array([0, 2, 1, 3, 4]))
    if "S" in axes:
        first = ops.unsqueeze(new, np.array([1]))
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(first.output(0))
    model = ov.Model([ops.result(source)], [new], Path(name).stem)
    passes = ov.passes.Manager()
    passes.register_pass(ov.passes.ConstantFolding())
    passes.run_passes(model)
    return model, activation


def _opened(
    spec: ModelSpec,
    labels: tuple[str, ...],
    checksum: str,
    graph: Any,
    head: GraphHead | None,
    threads: int | None,
    notes: list[str],
) -> OpenVINOEngine:
    """Return the engine, with the cells of the last layer as a further output if the closed form is exact there.

    ``head`` is what the file says about its cells and its head; if it says nothing, they are looked for.
    """
    config = cpu_config(threads)

    def compiled(outputs: Sequence[Any], row: ModelSpec, linears: tuple[Linear, ...]) -> Compiled:
        model = ov.Model([ov.opset13.result(output) for output in outputs], graph.get_parameters())
        network = get_core().compile_model(model, "CPU", config)
        return Compiled(network, row, linears, lambda: row.build(), bf16=False)

    logits = graph.get_results()[0].input_value(0)
    head = head or _pooled_and_linear(graph)
    if len(labels) > logits.get_shape()[1]:  # one output z becomes (z, -z)
        logits = ov.opset13.concat([logits, ov.opset13.negative(logits)], 1).output(0)
    if head is not None:
        linears = head.linears
        weight, bias = linears[-1]
        if len(labels) > len(bias):
            linears = (*linears[:-1], (np.concatenate([weight, -weight]), np.concatenate([bias, -bias])))
        grids: Any = [tuple(output.get_shape()[2:]) for output in head.cells]
        layer = ", ".join(output.get_node().get_friendly_name() for output in head.cells)
        exact = replace(spec, target_layer=layer, grid=grids[0], time_cells=tuple(grid[0] for grid in grids), head=head.head)
        candidate = compiled([logits, *head.cells], exact, linears)
        candidate.placements = head.placements
        if _is_exact(candidate, exact):
            return OpenVINOEngine.of_file(candidate, labels, checksum, notes=notes)
    notes.append(
        f"{spec.name} is a file without gradients, and no average and linear layer at its end give its logits: what needs only "
        "its answers works on it, such as occlusion"
    )
    return OpenVINOEngine.of_file(compiled([logits], spec, ()), labels, checksum, notes=notes)


def _pooled_and_linear(graph: Any) -> GraphHead | None:
    """Return what may be the cells ``(1,C,T',h,w)``, and the linear layer that follows their average; None if nothing may be.

    The cells are the last output of that form on the only way to the logits. The layer is what unit vectors give in place of the
    average, so it does not matter which operations compute it; whether it is linear is measured by :func:`_is_exact`.
    """
    source = graph.output(0).get_node().input_value(0)
    for _ in range(STEPS):
        shape = list(source.get_shape())
        if len(shape) == 5 and shape[0] == 1 and int(np.prod(shape[2:])) > 1:
            head = Head((f"{source.get_node().get_friendly_name()}, its linear layer",))
            return GraphHead((source,), (_linear_behind(graph, source),), head)
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
        get_core().compile_model(ov.Model(part.get_results(), [new]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
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
