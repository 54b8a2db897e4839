"""The evidence of all clips joined over the video: smoothing, one scale, heat at any time, segments and tubes."""
