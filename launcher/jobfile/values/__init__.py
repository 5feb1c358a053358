"""Reads single values of a job file or flag: sizes, times, GPUs, volumes, environment."""
