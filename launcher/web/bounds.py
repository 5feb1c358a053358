"""Every limit of the web service. Times are in seconds, sizes in bytes."""

from __future__ import annotations

MOST_CONNECTIONS = 512
"""Open at once; further ones are refused."""
MOST_PER_ADDRESS = 64
"""Of them from one address, or from one /64 network of IPv6. Loopback has no limit of its own,
because all connections of a reverse proxy come from there."""
BACKLOG = 128
HEAD_SECONDS = 10.0
"""A connection without a whole request head is closed after this time."""
REQUEST_SECONDS = 30.0
"""A request is answered within this time, or its connection is closed."""
IDLE_SECONDS = 30.0
"""From a reply to the next request, with the time in which the client takes the reply."""
LINGER_SECONDS = 1.0
"""Longest time for reading the rest of a refused body."""
END_SECONDS = 2.0
"""How long open requests may take once the service is stopped."""
MOST_LINE_BYTES = 4096
MOST_FIELD_BYTES = 8190
MOST_FIELDS = 64
MOST_BODY_BYTES = 64 * 1024

DAEMON_SECONDS = 8.0
"""The daemon counts as away if it does not answer within this time."""
FRESH_SECONDS = 1.0
"""Metrics are requested from the daemon at most this often, however many ask for them."""
TEXTFILE_SECONDS = 15.0
"""Between two writes of the file for node_exporter."""
