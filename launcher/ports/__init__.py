"""Ports of jobs: a process that leads from a socket of the job's owner to a port of its container.

It connects inside the container's network namespace, to 127.0.0.1: so a program need not listen on
other addresses, no other user reaches it through the machine's network, and it works without a
network too. ``forwarder`` relays, ``namespaces`` enters, ``client`` is the daemon's side.

May import ``launcher.listening``, ``launcher.peers``, ``launcher.companion``; never Docker.
"""
