"""What the daemon observes of the machine and touches on it: GPUs, devices, foreign use, disks."""
