"""A real RTSP server on 127.0.0.1, for the system's Python with GStreamer: ``rtsp_server.py PORT [CLIP.mp4]``.

``/ball`` is a ball that moves for ever (motion JPEG), ``/clip`` the H.264 of a file, sent in real time to each who asks.
Debian: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BALL = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! jpegenc ! "
    "rtpjpegpay name=pay0 )"
)
CLIP = "( filesrc location={} ! qtdemux ! h264parse ! rtph264pay config-interval=1 name=pay0 )"


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    paths = {"/ball": BALL} | ({"/clip": CLIP.format(sys.argv[2])} if len(sys.argv) > 2 else {})
    for path, launch in paths.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


main()
