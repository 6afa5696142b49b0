"""Milepost in an app: its requests, tasks, log records and changed rows as activities, with their context.

`context` says who acts and where, for everything else here; `asgi`, `wsgi`, `flask`, `django`, `logging` and `celery` are one
framework each. They import that framework, the client and nothing of the server. None of them can harm the app: logging an
activity only enqueues it, and a mistake of ours is a warning of the logger `milepost.integrations`, never an exception in a request.
"""
