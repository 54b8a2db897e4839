"""Explaining a camera while it runs, by the same ``Session`` as a file.

    source -> capture -> Stream (sampling | explaining | pictures, each in its own thread) -> page, window, events, recording

The newest frame wins, the evidence carries its age, and events are reported as they happen. :mod:`~vidcam.live.pipeline` joins
these parts for one source, :mod:`vidcam.web.live.run` runs ``vidcam live``, and :func:`vidcam.web.live.server.make_viewer` is the
page as an ASGI application.
"""
