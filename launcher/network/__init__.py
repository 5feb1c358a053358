"""The network of ordinary users' jobs: its name, and the firewall's rules for it.

``python -m launcher.network`` makes the rules and writes what it found to a file; the unit
launcher-network runs it with root's rights, a root daemon without units calls ``firewall`` itself.
Standard library and ``launcher.procfs`` alone.
"""

NETWORK = "launcher"
"""The name of the Docker network."""
INTERFACE = "launcher0"
"""The name of its bridge, by which the firewall's rules know it."""
MOST_HOSTNAME = 64
"""HOST_NAME_MAX of Linux, in bytes."""


def full_hostname(hostname: str) -> str:
    """Return the name of a container that has this hostname in the network.

    Docker 25 and later answer a hostname to every container of the network. As a plain word it
    could take the place of a server's short name, such as ``proxy``, in others' jobs. A name that
    would become too long for the kernel stays as it is.

    >>> full_hostname("proxy")
    'proxy.launcher'
    """
    full = f"{hostname}.{NETWORK}"
    return full if len(full) <= MOST_HOSTNAME else hostname
