"""A camera pushed through the same Session as a file: the newest frame wins, evidence carries its age, events are told.

    source -> capture -> Stream (sampling | explaining | pictures, each in a thread of its own) -> page, window, events, recording

:mod:`~vidcam.web.live.run` puts it together for the command line; :func:`vidcam.web.live.server.viewer` is the page as an ASGI
app.
"""
