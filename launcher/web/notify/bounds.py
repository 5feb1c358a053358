"""Every limit of notifications. Times are in seconds, sizes in bytes."""

from __future__ import annotations

CONNECT_SECONDS = 5.0
"""To connect, with the look-up of the name."""
WEBHOOK_SECONDS = 10.0
"""Of one try, with its redirects."""
MOST_REDIRECTS = 3
MAIL_SECONDS = 30.0
"""The longest time until the mail server, or the sendmail program, has a mail."""
MAIL_REPLY_SECONDS = 10.0
"""The longest time of one reply of the mail server."""
MOST_REPLY = 150
"""Characters of its reply that are shown."""
MOST_STDERR = 2048
"""What is read of its error output."""

BACKOFF_SECONDS = (60.0, 300.0, 1800.0, 7200.0)
"""Waits after the first failed try and the next ones; after the last one it is given up."""
MOST_AT_ONCE = 8
"""Tries under way at once, of one user ``MOST_OF_USER_AT_ONCE``."""
MOST_OF_USER_AT_ONCE = 2
END_SECONDS = 5.0
"""How long tries may take once the service is stopped."""

MINUTE = 60.0
MOST_WAITING = 5000
"""Deliveries that wait, of one user ``MOST_WAITING_OF_USER``; further ones are summed up."""
MOST_WAITING_OF_USER = 200
MOST_SUMS_OF_USER = 4
"""Targets of a user that are told of surplus at a time; for further ones it is only counted."""
MOST_SUMS = 5000
MOST_WINDOWS = 10_000
"""Users whose notifications of the last minute are counted."""
MOST_SLICES = 64
"""Slices that a document names."""
MOST_REPORTS = 1000
"""Failures that the daemon has not been told of; the oldest are dropped."""

POLL_SECONDS = 25.0
"""The daemon answers at the latest after this time (its limit is 30 seconds)."""
PAUSE_SECONDS = 1.0
"""Between two requests for notifications, and to report failures."""
MANY = 50
"""After a page with this many notifications the next one is requested at once."""
AWAY_SECONDS = 5.0
"""Until the next request if the daemon is away, or the outbox cannot be written."""
FIRST_SECONDS = 86400.0
"""The first start sends what happened within this time."""
JOURNAL_SLACK = 1000
"""Lines of the outbox beyond twice its deliveries until it is written anew."""
