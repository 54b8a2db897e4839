"""How fast vidcam is, beside what it has to be compared with, in one run: ``python -m benchmarks.speed``.

Each part (``end_to_end``, ``methods``, ``engines``, ``scaling``, ``gpu``) lets contestants run in turns and gives tables of
figures (:mod:`benchmarks.speed.race`); the ratios within one run are what counts, since they survive a noisy machine.
"""
