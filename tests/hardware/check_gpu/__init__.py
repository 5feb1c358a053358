"""``make check-gpu``: what NVML and the launcher report of this machine's GPUs, in one report.

Nothing is changed: no MIG mode, no instance, no setting. nvidia-smi's answers are compared with the
launcher's. No Docker is needed.
"""
