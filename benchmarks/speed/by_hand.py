"""What one would write without vidcam: PyAV, torch, GradCAM of the grad-cam package with its overlay, PyAV.

    python benchmarks/speed/by_hand.py IN OUT.mp4 --model x3d_s [--weights FILE]

The same network, windows and encoder settings as in vidcam. The video is read twice: for the windows, of which only the small
pictures and then only the maps are kept, and for drawing. vidcam is used for the network and the facts of its row alone. Writes
to stdout the seconds that it took, without imports and the loading of the network. Needs grad-cam: ``pip install --no-deps
grad-cam ttach`` and scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from vidcam.models.loading import LoadedModel, load
from vidcam.models.spec import ModelSpec

ROUNDING_S = 0.0005


def read(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as video:
        video.streams.video[0].thread_type = "AUTO"
        yield from video.decode(video=0)


def frame_times(path: Path) -> tuple[np.ndarray, float]:
    """The time of each frame and the end of the video in seconds, from the packets alone."""
    with av.open(str(path)) as video:
        packets = [p for p in video.demux(video=0) if p.pts is not None]
        last = max(packets, key=lambda p: p.pts)
        return np.array(sorted(float(p.pts * p.time_base) for p in packets)), float((last.pts + last.duration) * last.time_base)


def windows(times: np.ndarray, end: float, spec: ModelSpec) -> list[np.ndarray]:
    """The numbers of the frames of each window: one every half clip, and a last one that ends with the video."""
    length, step = spec.num_frames, spec.seconds_between_frames
    begin, hop = times[0], length * step / 2
    if end - begin < (length - 1) * step + ROUNDING_S:
        raise SystemExit(f"the video is shorter than one window of {length * step:g} s: take a longer one")
    starts = [begin]
    while starts[-1] + hop + (length - 1) * step < end - ROUNDING_S:
        starts.append(starts[-1] + hop)
    if starts[-1] + length * step < end - ROUNDING_S:
        samples = np.arange(begin, end - ROUNDING_S, step)
        starts.append(samples[-length])
    return [np.searchsorted(times, s + np.arange(length) * step + ROUNDING_S, side="right") - 1 for s in starts]


def small(picture: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """The picture as the network sees it: resized (both sides, or the short one), then centre cropped; or fitted into grey."""
    height, width = picture.shape[:2]
    if spec.resize == "fit":
        scale = min(spec.crop[0] / height, spec.crop[1] / width) * 4 / 3  # one side may shrink by a third more than the other
        height, width = (min(most, round(side * scale)) for most, side in zip(spec.crop, (height, width), strict=True))
        out = np.full((*spec.crop, 3), 115, np.uint8)
        top, left = (spec.crop[0] - height) // 2, (spec.crop[1] - width) // 2
        out[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return out
    if isinstance(spec.resize, tuple):
        height, width = spec.resize
    else:
        short = min(height, width)
        height, width = int(spec.resize * height / short), int(spec.resize * width / short)
    picture = cv2.resize(picture, (width, height))
    top, left = (round((have - want) / 2) for have, want in zip(picture.shape, spec.crop, strict=False))
    return picture[top : top + spec.crop[0], left : left + spec.crop[1]]


def clips(path: Path, spec: ModelSpec) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The times ``(T,)`` and the pictures ``(T, H, W, 3) uint8`` of each window."""
    times, end = frame_times(path)
    coming = windows(times, end, spec)
    wanted = {int(n) for window in coming for n in window}
    kept: dict[int, np.ndarray] = {}
    for number, frame in enumerate(read(path)):
        if number in wanted:
            kept[number] = small(frame.to_ndarray(format="rgb24"), spec)
        while coming and coming[0][-1] == number:
            window = coming.pop(0)
            yield times[window], np.stack([kept[int(n)] for n in window])
        kept = {n: picture for n, picture in kept.items() if coming and n >= coming[0][0]}


def annotate(source: Path, target: Path, model: LoadedModel) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image

    spec, net = model.spec, model.module
    mean, std = (torch.tensor(values).view(1, 3, 1, 1, 1) for values in (spec.mean, spec.std))
    explained = []
    with GradCAM(model=net, target_layers=[net.get_submodule(spec.target_layer)]) as cam:
        for times, pictures in clips(source, spec):
            x = (torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 255 - mean) / std
            maps = cam(input_tensor=x, targets=None)[0]  # of the most probable class
            probs = torch.softmax(cam.outputs[0].detach(), 0)
            explained.append((times, maps, f"{model.labels[int(probs.argmax())]} {float(probs.max()):.0%}"))
    middles = np.array([times.mean() for times, _, _ in explained])
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as made:
        out = None
        for frame in read(source):
            if out is None:
                with av.open(str(source)) as video:
                    rate = video.streams.video[0].average_rate
                out = made.add_stream(
                    "libx264", rate=rate, options={"crf": "20", "preset": "veryfast", "g": str(round(2 * rate))}
                )
                out.width, out.height, out.pix_fmt = frame.width, frame.height, "yuv420p"
                out.codec_context.thread_type = "FRAME"  # as in vidcam and in the transcode
            times, maps, words = explained[int(np.abs(middles - frame.time).argmin())]
            mask = cv2.resize(maps[int(np.abs(times - frame.time).argmin())], (frame.width, frame.height))
            picture = show_cam_on_image(np.float32(frame.to_ndarray(format="rgb24")) / 255, mask, use_rgb=True)
            cv2.putText(picture, words, (16, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
            drawn = av.VideoFrame.from_ndarray(picture, format="rgb24")
            drawn.pts, drawn.time_base = frame.pts, frame.time_base
            made.mux(out.encode(drawn))
        made.mux(out.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--model", default="x3d_s")
    parser.add_argument("--weights", type=Path)
    args = parser.parse_args()
    model = load(args.model, weights=args.weights)
    import pytorch_grad_cam  # noqa: F401  (part of the start)

    began = time.perf_counter()
    annotate(args.source, args.target, model)
    sys.stdout.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main()
