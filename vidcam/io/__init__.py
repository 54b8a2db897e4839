"""Video in and out: sources, writer, output files, JSON, clock, prefetching; only here is PyAV used."""
