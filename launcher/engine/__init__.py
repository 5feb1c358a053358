"""Docker, and only here: create bodies from typed specs, images, containers, logs.

May import ``launcher.core`` and ``launcher.errors``. A call that changes something ends in done,
not done, or UNKNOWN, and UNKNOWN is resolved by looking at the container's deterministic name.
"""
