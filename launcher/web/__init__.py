"""``launch web``: the launcher on the network, so that the daemon never is.

A process and a unit of its own, with a user of its own, which may read what every user sees and do
nothing else (``[users] observer``); it always requests that role, whoever runs it. It asks the
daemon over its socket by ``launcher.client`` and serves HTTP: metrics for Prometheus, pages later.

``bounds`` has every limit, ``connections`` keeps to those of connections, ``guard`` to the rules of
requests and replies (hosts, methods, headers, errors); ``metrics`` and ``textfile`` render what the
daemon counts; ``routes`` is the table, ``main`` serves it. ``notify`` sends notifications, to
targets that may hold secrets; no other secret is kept here, and nothing of a reply comes from a
request. May import ``client``, ``config``, ``spec``, ``wire`` and ``errors``; never the daemon or
any room beneath it.
"""
