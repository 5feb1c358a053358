"""Verbs about the machine: its slices, its layout, its images."""
