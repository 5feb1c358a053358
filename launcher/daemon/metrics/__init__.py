"""Counters and histograms of the daemon: fed by committed decisions, read by ``GET /v1/metrics``.

``amounts`` has the types, ``job_metrics`` what happens to jobs, ``slice_hours`` who leased how
much, ``memory_peaks`` what slices used, ``daemon_metrics`` all of them. Nothing here does I/O or
walks the jobs: a feed costs what a decision changed, and every dict has a bound. All numbers start
at zero with the daemon, which Prometheus handles. Gauges are read from the world when they are
requested (``daemon.api.views.metric_views``). May import ``core``, ``errors`` and ``loop`` alone.
"""
