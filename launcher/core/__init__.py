"""PURE: types and decisions. Events and the time go in, changes and actions come out.

No async, clock, random, log, file, socket or thread lives here; time is an argument. May import
``launcher.errors`` and nothing else of ours.
"""
