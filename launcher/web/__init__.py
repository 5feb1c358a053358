"""``launch web``: the launcher on the network, so that the daemon never is.

A process and a unit of its own, with a user of its own, which may read what every user sees and do
nothing else (``[users] observer``); it always requests that role, whoever runs it. For a user who
logged in it adds their session, and the daemon decides with the user's rights. It asks the daemon
over its socket by ``launcher.client`` and serves HTTP: pages, and metrics for Prometheus.

``bounds`` has every limit, ``connections`` and ``rates`` keep to those of connections and pages,
``guard`` to the rules of requests and replies (hosts, methods, headers, errors), ``login`` and
``actions`` to those of sessions and forms. ``pages`` renders, ``handlers`` and ``logs`` are the
pages as requests, ``live`` keeps open ones current. ``metrics`` and ``textfile`` render what the
daemon counts; ``routes`` is the table, ``main`` serves it. ``notify`` sends notifications, to
targets that may hold secrets. Of sessions only those are here that were used lately. May import
``jobfile.values`` for times that users write, ``client``, ``text``, ``config``, ``serving``,
``spec``, ``wire`` and ``errors``; never the daemon or any room beneath it.
"""
