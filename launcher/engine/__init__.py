"""The only room that calls Docker: create bodies from typed specs, images, containers, logs.

May import ``launcher.core`` and ``launcher.errors``. A call that changes something ends in done,
not done, or UNKNOWN; UNKNOWN is resolved by inspecting the container's deterministic name.
"""
