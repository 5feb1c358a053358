"""The pages of ``launch web``: what the daemon says, as HTML.

``templates`` renders, ``static_files`` are the style sheet and the script; ``overview``, ``job``,
``array`` and ``usage`` are pages, made of fragments with an id; ``gpu_bars`` and ``timeline`` are
pictures, as numbers for a template. Every text of the daemon passes ``safe`` and is escaped.
Nothing here knows of HTTP requests but ``static_files``. May import ``client``, ``text`` and
``wire``.
"""
