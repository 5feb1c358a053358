"""``make bench-peers``: the queues that people use today, on the same trace as ours, in one run.

One file per queue, each a ``Peer``: what version is here, start, submit the trace, wait, stop.
"""
