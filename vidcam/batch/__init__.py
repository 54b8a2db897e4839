"""Explains folders of thousands of videos: a plan first, then workers, a mark for every finished video, and tables at the end."""
