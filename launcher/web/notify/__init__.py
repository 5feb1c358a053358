"""Sends notifications: what happened to jobs, to webhooks and by mail.

The daemon says what is to be sent and to whom (``launcher.client``); it never sends itself, so that
no receiver delays a job. ``intake`` makes deliveries of that, a few a minute for each user;
``outbox`` keeps them in a file with the number of the last event, so that a restart loses none;
``sender`` tries each until it is sent or given up, and ``service`` connects the parts and tells the
daemon of failures. ``webhook`` and ``mail`` are the two ways out, ``addresses`` the rule where
webhooks may go, ``messages`` what they say, ``bounds`` every limit.

URLs may hold secrets: they are in no log and in no report.
"""
