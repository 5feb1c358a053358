"""Log files: the output of jobs, one file per attempt; one process writes, many read.

A log file is a sequence of blocks (``blocks``). Each block starts with totals of all earlier
blocks, so that a file of any size is reopened and searched by line or time with a few reads.
``writer`` appends, ``reader`` reads from a position, ``search`` finds positions, ``old_format``
converts the files of 0.1.0, and ``copier`` takes the bytes from Docker's own log.

May import ``launcher.wire`` (the frames), ``launcher.engine`` and ``launcher.errors``.
"""
