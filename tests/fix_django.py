"""For tests with the Django project `django_shop`.

- `told`: `told(CLIENT=…)` is `settings.MILEPOST` until the test ends. Then all rows go.
- `recorded`: what is logged while a test runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from integration_site import Recorder

Told = Callable[..., None]


@pytest.fixture
def told() -> Iterator[Told]:
    from django.apps import apps
    from django.db import connection
    from django.test import override_settings

    with ExitStack() as stack:

        def tell(**given: Any) -> None:
            stack.enter_context(override_settings(MILEPOST=given))

        yield tell
    with connection.constraint_checks_disabled():
        for model in apps.get_models(include_auto_created=True):
            if not model._meta.proxy:
                model._base_manager.all()._raw_delete("default")


@pytest.fixture
def recorded(told: Told, recorder: Recorder) -> Recorder:
    told(CLIENT=lambda: recorder)
    return recorder
