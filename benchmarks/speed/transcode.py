"""A plain transcode, with the encoder settings of :mod:`vidcam.io.writer`: the limit of any program that annotates video.

    python benchmarks/speed/transcode.py IN OUT.mp4

Decoding runs in a thread of its own, and FFmpeg and x264 take as many threads as they like. Writes to stdout the seconds that it
took, without the start of the program.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import av
from av.video.frame import PictureType

from vidcam.io.prefetch import prefetch

PREFETCH_FRAMES = 8


def transcode(source: Path, target: Path) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as made:
        coming = given.streams.video[0]
        coming.thread_type = "AUTO"
        assert coming.average_rate
        options = {"crf": "20", "preset": "veryfast", "g": str(round(2 * coming.average_rate))}
        going = made.add_stream("libx264", rate=coming.average_rate, options=options)
        going.width, going.height, going.pix_fmt = coming.width, coming.height, "yuv420p"
        going.codec_context.thread_type = "FRAME"  # as the ffmpeg command does
        for frame in prefetch(given.decode(coming), depth=PREFETCH_FRAMES):
            frame.pict_type = PictureType.NONE  # else the encoder repeats the source's choice of key frames
            made.mux(going.encode(frame))
        made.mux(going.encode(None))


if __name__ == "__main__":
    began = time.perf_counter()
    transcode(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(f"{time.perf_counter() - began}\n")
