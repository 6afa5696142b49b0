"""A Flask extension: the context of each request with its route and user, requests as activities, and a client for views.

    audit = MilepostFlask(app)                   # or audit = MilepostFlask(), and audit.init_app(app) in a factory
    @app.post("/orders")
    def order(): audit.log("order", object={"kind": "order", "id": "17"}); …

The client is the one given, or made from `app.config["MILEPOST_URL"]` and `["MILEPOST_KEY"]`, or else from the environment. The user is
Flask-Login's `current_user` where that is in use, or what a function marked `@audit.user_loader` returns: an id, or None.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, current_app, has_request_context, request

from milepost.client import Milepost
from milepost.integrations.context import Client, InContext
from milepost.integrations.request_activity import RequestActivity
from milepost.integrations.wsgi import ROUTE, MilepostMiddleware

__all__ = ["MilepostFlask"]

_log = logging.getLogger("milepost.integrations")

_ACTOR = "milepost.actor"
_NAME = "milepost"


class MilepostFlask:
    """One object for any number of applications. Options are those of `milepost.integrations.wsgi.MilepostMiddleware`."""

    def __init__(
        self,
        app: Flask | None = None,
        client: Client | InContext | None = None,
        *,
        requests: RequestActivity | None = None,
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        self._given = client
        self._requests = requests
        self._proxies = tuple(trusted_proxies)
        self._load: Callable[[], str | None] = _flask_login_user
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Wraps `app.wsgi_app`, and notes the route and the user of each request. Once for an application."""
        if _NAME in app.extensions:
            raise RuntimeError("milepost is already part of this application")
        client = InContext.of(self._given or Milepost(app.config.get("MILEPOST_URL"), app.config.get("MILEPOST_KEY")))
        app.extensions[_NAME] = client
        app.before_request(_note_route)
        app.teardown_request(self._note_actor)
        middleware = MilepostMiddleware(
            app.wsgi_app, client, requests=self._requests, actor=self._actor, trusted_proxies=self._proxies
        )
        app.wsgi_app = middleware  # type: ignore[method-assign]

    def user_loader(self, load: Callable[[], str | None]) -> Callable[[], str | None]:
        """Marks the function that says who makes the current request; it runs within Flask's request context."""
        self._load = load
        return load

    @property
    def client(self) -> InContext:
        """The current application's client."""
        client: InContext = current_app.extensions[_NAME]
        return client

    def log(self, verb: str, actor: str | None = None, **more: Any) -> None:
        """As `InContext.log`, of the current application."""
        self.client.log(verb, actor, **more)

    def _actor(self, environ: dict[str, Any]) -> str | None:
        if has_request_context() and request.environ is environ:
            return self._load()
        noted: str | None = environ.get(_ACTOR)
        return noted

    def _note_actor(self, _: BaseException | None) -> None:
        """The request's own context ends here, its response does not. Only a request activity is worth a look at the user."""
        if self._requests is not None:
            try:
                request.environ[_ACTOR] = self._load()
            except Exception:
                _log.warning("the user of a request cannot be told", exc_info=True)


def _note_route() -> None:
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule


def _flask_login_user() -> str | None:
    login = sys.modules.get("flask_login")
    if login is None or not hasattr(current_app, "login_manager"):
        return None
    return str(login.current_user.get_id()) if login.current_user.is_authenticated else None
