"""Videos in and out: reading and writing files, the clock, threads that read ahead. PyAV is used nowhere else."""
