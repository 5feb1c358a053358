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
MOST_FORM_FIELDS = 16

DAEMON_SECONDS = 8.0
"""The daemon counts as away if it does not answer within this time."""
FRESH_SECONDS = 1.0
"""Metrics are requested from the daemon at most this often, however many ask for them."""
TEXTFILE_SECONDS = 15.0
"""Between two writes of the file for node_exporter."""

MOST_WAITING_SHOWN = 50
"""Waiting jobs on the overview, and as many running ones; the counts are of all."""
MOST_ELEMENTS_SHOWN = 50
"""Elements on one page of an array."""
MOST_EVENTS_SHOWN = 100
"""Lines of a job's history."""
MOST_GROUPS_SHOWN = 50
"""Groups in a table of usage; the others are one line."""
MOST_TEXT = 64 * 1024
"""Characters of one text on a page, such as a command."""
TIMELINE_SECONDS = 6 * 3600.0
"""How far back the timeline reaches."""
MOST_RUNS = 400
"""Runs in the timeline, newest first."""
EVENTS_IN_A_PAGE, MOST_EVENT_PAGES = 200, 100
"""Events that the timeline reads with one request, and the requests at once: nothing else is served
while a page of them is decoded."""
UPDATE_SECONDS = 1.0
"""An open page gets at most one update in this time."""
CHANGES_SECONDS = 25.0
"""One request for the next change stays open this long."""
RETRY_CHANGES_SECONDS = 2.0
HEARTBEAT_SECONDS = 15.0
"""An open page that gets no update gets a comment, so that proxies keep the connection."""
STALLED_SECONDS = 45.0
"""An open page that takes nothing in this time is disconnected."""
MOST_PAGES_OPEN = 200
"""Pages that get updates at once; others must be reloaded by hand."""
MOST_PAGES_PER_ADDRESS = 32
"""Of them from one address. Loopback has no limit of its own."""
MOST_FEEDS = 64
"""Different pages that are rendered again after each change."""
PAGES_PER_SECOND, PAGES_AT_ONCE = 10.0, 60.0
"""Requests for pages from one address: so many a second, and so many at once."""
ALL_PAGES_PER_SECOND, ALL_PAGES_AT_ONCE = 100.0, 300.0
"""Of all addresses together."""
MOST_ADDRESSES = 10_000
"""Addresses whose requests are counted."""
WHY_SECONDS = 30.0
"""Likely starts are asked for at most this often: those of the first waiting jobs together, one
further behind by itself. The daemon replays the queue for them."""
MOST_ESTIMATES = 256
"""Likely starts of jobs further behind that are kept."""
MOST_ESTIMATES_DUE = 16
"""Jobs further behind that wait for an estimate, which is made for one after the other."""
LOG_LINES = 500
"""Lines of a log that a page starts with."""
MOST_LOG_MATCHES = 1000
"""Lines that a search in a log shows."""
MOST_LOG_SEARCHED = 64 * 1024 * 1024
"""Bytes of a log that a search reads."""
MOST_SEARCH_TEXT = 200
LOG_PIECE_CHARACTERS = 64 * 1024
"""Of one message to a page that shows a log."""
MOST_LOG_TEXT = 256 * 1024
"""Characters of a log on a page."""
LOG_SECONDS = 20.0
"""A search in a log that takes longer is refused."""
MOST_LOG_READERS = 32
"""Logs that are read at once, live, for a download or a search."""
VIEWER_SECONDS = 2.0
"""What the daemon says of a session is used again in this time."""
MOST_SESSIONS = 1000
"""Sessions of which that is kept."""
COOKIE_SECONDS = 30 * 24 * 3600
"""The daemon ends sessions that are idle, earlier than a browser forgets the cookie."""
