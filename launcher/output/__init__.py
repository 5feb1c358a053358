"""Log files: what jobs print, one file per attempt, written by one process and read by many.

A log file is a sequence of blocks (``blocks``). Every block begins with totals of all blocks before
it, so that a file of any size is reopened, searched by line and searched by time with a few reads.
``writer`` appends, ``reader`` reads from a position, ``search`` finds positions, ``old_format``
converts the files of 0.1.0, and ``copier`` takes the bytes from Docker's own log.

May import ``launcher.wire`` (the frames), ``launcher.engine`` and ``launcher.errors``.
"""
