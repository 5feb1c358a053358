"""What stays on the screen and follows the machine: ``launch top``, and tables with ``--watch``.

``frame``, ``gpu_picture`` and ``queue_rows`` draw a snapshot as lines of text, and know neither the
daemon nor a terminal; ``app``, ``top_screen`` and ``screens`` are Textual's side. Textual is
imported there alone, and only when a terminal is taken over.
"""
