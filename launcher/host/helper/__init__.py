"""The privileged helper: its loop, its connections, and each job from start to end."""
