"""Which videos browsers play as they are, and the copies of the others."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.explained import made_up
from support.media import UPRIGHT, corners, joined, number, write_clip, write_images

from vidcam.annotation.browser_video import check_embedding, copy_beside, provide_video
from vidcam.errors import OutputError, UsageError
from vidcam.io import playable
from vidcam.io.source import open_source

AS_IT_IS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": ("a.mp4", {}),
    "full range": ("a.mp4", {"pix_fmt": "yuvj420p", "full_range": True}),
    "turned": ("a.mp4", {"rotation": 90}),
    "late start": ("a.mp4", {"start": 1.4, "b_frames": 2}),
    "in fragments": ("a.m4v", {"fragmented": True}),
    "sound": ("a.mp4", {"audio": "aac"}),
    "webm": ("a.webm", {"audio": "libopus"}),
}
REMUX: dict[str, tuple[str, dict[str, Any], str]] = {
    "matroska": ("a.mkv", {"audio": "libopus"}, "h264 in Matroska"),
    "quicktime": ("a.mov", {"b_frames": 2, "rotation": 90}, "h264 in QuickTime"),
    "stream": ("a.ts", {"b_frames": 2, "audio": "aac"}, "h264 in Mpegts"),
    "sound": ("a.mp4", {"audio": "ac3"}, "ac3 audio"),
}
TRANSCODE: dict[str, tuple[str, dict[str, Any], str]] = {
    "avi": ("a.avi", {}, "mpeg4 video"),
    "h264 in avi": ("a.avi", {"codec": "libx264"}, "AVI"),
    "ten bits": ("a.mp4", {"pix_fmt": "yuv420p10le"}, "yuv420p10le"),
    "full colour": ("a.mp4", {"pix_fmt": "yuv444p"}, "yuv444p"),
    "hevc": ("a.mp4", {"codec": "libx265"}, "hevc video"),
    "gif": ("a.gif", {"fps": 10}, "gif video"),
}


@pytest.mark.parametrize("name", AS_IT_IS)
def test_usual_video_plays_as_it_is(name: str, tmp_path: Path) -> None:
    file, options = AS_IT_IS[name]
    with open_source(write_clip(tmp_path / file, **options)) as source:
        assert playable.check_playable(source) == playable.Playability("as it is")


@pytest.mark.parametrize("name", REMUX)
def test_remux_keeps_packets_times_and_orientation(name: str, tmp_path: Path) -> None:
    file, options, reason = REMUX[name]
    clip = write_clip(tmp_path / file, **options)
    with open_source(clip) as source:
        found = playable.check_playable(source)
        assert found.way == "remux"
        assert reason in found.reason
        assert playable.remux(source, tmp_path / "copy.mp4") == []
        before = [(frame.time - source.info.start_s, number(frame.image)) for frame in source.frames()]
    with open_source(tmp_path / "copy.mp4") as copy:
        assert playable.check_playable(copy).way == "as it is"
        after = [(frame.time, number(frame.image)) for frame in copy.frames()]
        assert corners(next(copy.frames()).image) == UPRIGHT
        assert (copy.info.audio is not None) == ("audio" in options)
    assert [n for _, n in after] == [n for _, n in before] == list(range(30))
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=6e-4)  # Matroska stores milliseconds
    assert decoded(clip) == decoded(tmp_path / "copy.mp4")


def decoded(path: Path) -> list[int]:
    """Return a checksum of each stored picture: a picture that was encoded again would differ."""
    with av.open(str(path)) as file:
        return [hash(frame.to_ndarray().tobytes()) for frame in file.decode(video=0)]


@pytest.mark.parametrize("name", TRANSCODE)
def test_what_browsers_cannot_decode_is_encoded_again(name: str, tmp_path: Path) -> None:
    file, options, reason = TRANSCODE[name]
    with open_source(write_clip(tmp_path / file, **options)) as source:
        found = playable.check_playable(source)
    assert found.way == "transcode"
    assert reason in found.reason


def test_copy_of_odd_size_and_uneven_times_keeps_both(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.3, 0.35, 0.9]
    clip = write_clip(tmp_path / "a.mp4", frames=5, times=times, size=(97, 129), start=1.4, pix_fmt="yuv444p")
    page = tmp_path / "page.html"
    with open_source(clip) as source:
        found = check_embedding(source, page, embed=False, overwrite=False)
        made = made_up(source.info, list(source.frames()))
        with provide_video(source, made, page, found, embed=False, overwrite=False, progress=None) as analysis:
            assert analysis.playback is not None
            assert (analysis.playback.size, analysis.playback.first_s) == ((96, 128), 1.4)
            assert "encoded again as H.264 (not every browser plays h264 in yuv444p)" in analysis.playback.how
    with open_source(copy_beside(page)) as copy:
        seen = [(round(f.time - copy.info.start_s, 3), number(f.image)) for f in copy.frames()]
        assert seen == [(t, i) for i, t in enumerate(times)]
        assert playable.check_playable(copy).way == "as it is"


def test_recordings_of_other_hours_are_not_joined_by_a_copy(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / f"{i}.ts", frames=5, start=7200.0 * i) for i in (1, 0)]
    with open_source(joined(tmp_path / "a.ts", *parts)) as source, pytest.raises(OutputError, match="the clock restarts"):
        playable.remux(source, tmp_path / "copy.mp4")


def test_pictures_in_a_folder_become_a_video_inside_the_page(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", names=[f"{i:02d}.png" for i in range(6)])
    page = tmp_path / "page.html"
    with open_source(folder, fps=10) as source:
        found = check_embedding(source, page, embed=True, overwrite=False)
        made = made_up(source.info, list(source.frames()))
        with provide_video(source, made, page, found, embed=True, overwrite=False, progress=None) as analysis:
            assert analysis.playback is not None
            copy = Path(analysis.playback.path)
            assert copy.is_file()
        assert not copy.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]


def test_embedding_a_large_video_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidcam.annotation.browser_video.EMBED_LIMIT", 1000)
    clip = write_clip(tmp_path / "a.mp4", frames=5, fps=Fraction(25))
    with open_source(clip) as source, pytest.raises(UsageError, match=r"a page contains at most .* leave --embed out"):
        check_embedding(source, tmp_path / "page.html", embed=True, overwrite=False)


def test_existing_copy_is_kept_unless_asked(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    copy_beside(page).write_text("mine")
    with open_source(write_clip(tmp_path / "a.avi", frames=5)) as source:
        with pytest.raises(OutputError, match=r"page\.video\.mp4 exists already"):
            check_embedding(source, page, embed=False, overwrite=False)
        check_embedding(source, page, embed=False, overwrite=True)
