"""Layouts as people write them: SPECs, and files of NVIDIA's mig-parted."""
