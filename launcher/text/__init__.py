"""Words for people, shared by the command and the web page: texts in, texts out.

``safe_text`` takes control characters out of texts of others, ``moments`` writes times and lengths
of time, ``sizes`` bytes, ``job_format`` the parts of a job. Nothing here prints, and nothing is
requested. May import ``wire``, for types.
"""
