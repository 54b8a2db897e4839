"""What the contestants work on: clips of a given size and length made from one source, and weights."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Interpolation

__all__ = ["SyntheticVideo", "looped", "made", "weights_for"]


@dataclass(frozen=True)
class SyntheticVideo:
    path: Path
    frames: int
    fps: Fraction

    @property
    def seconds(self) -> float:
        return float(self.frames / self.fps)


def made(source: Path, folder: Path, *, height: int, seconds: float) -> SyntheticVideo:
    """``source`` played over and over for ``seconds``, stretched to 16:9 of ``height``, as H.264 without sound.

    It is made once for a folder.
    """
    width = 2 * round(height * 8 / 9)
    path = folder / f"{source.stem}-{height}-{seconds:g}s.mp4"
    with av.open(str(source)) as given:
        rate = given.streams.video[0].average_rate
    assert rate
    clip = SyntheticVideo(path, max(1, round(seconds * rate)), Fraction(rate.numerator, rate.denominator))
    if path.exists():
        return clip
    with av.open(str(path), "w") as out:
        going = out.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast", "g": str(round(2 * rate))})
        going.width, going.height, going.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(itertools.islice(_over_and_over(source), clip.frames)):
            picture = frame.reformat(width, height, "yuv420p", interpolation=Interpolation.BICUBIC)
            picture.pts, picture.time_base = number, 1 / clip.fps
            out.mux(going.encode(picture))
        out.mux(going.encode(None))
    return clip


def _over_and_over(source: Path) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(str(source)) as given:
            yield from given.decode(video=0)


def looped(clip: SyntheticVideo, folder: Path, times: int) -> SyntheticVideo:
    """``clip`` played ``times`` times, made of its packets: a long video in a moment. It is made once for a folder."""
    path = folder / f"{clip.path.stem}-x{times}.mp4"
    longer = dataclasses.replace(clip, path=path, frames=times * clip.frames)
    if times == 1:
        return clip
    if path.exists():
        return longer
    with av.open(str(path), "w") as out:
        going = None
        for turn in range(times):
            with av.open(str(clip.path)) as given:
                coming = given.streams.video[0]
                going = going or out.add_stream_from_template(coming)
                assert coming.time_base
                shift = round(turn * clip.frames / clip.fps / coming.time_base)
                for packet in given.demux(coming):
                    if packet.dts is None:
                        continue
                    packet.dts += shift
                    packet.pts += shift
                    packet.stream = going
                    out.mux(packet)
    return longer


def weights_for(model: str, folder: Path) -> Path | None:
    """A file of random weights for ``model``, None where its own are on this machine. What it costs does not depend on them.

    All weights of the first class are positive, so that there is a clear answer with evidence for it: where there is no heat,
    none is drawn, which would be cheaper. The file is read without torch, as are the weights that vidcam itself has fetched.
    """
    import torch
    from safetensors.torch import save_file
    from torch import nn

    from vidcam.models import loading
    from vidcam.models.table import get_spec

    spec = get_spec(model)
    if loading.is_available(spec):
        return None
    path = folder / f"{model}-random.safetensors"
    if not path.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = spec.build()
            last = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv3d)][-1]
            with torch.no_grad():
                last.weight[0].abs_()
        save_file(net.state_dict(), path)
    return path
