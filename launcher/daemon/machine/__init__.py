"""The daemon's view of the machine: GPUs, devices, foreign use, disks."""
