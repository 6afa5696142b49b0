"""What other standards send, taken in: Segment's tracking API, CloudEvents, OpenTelemetry logs (docs/standards.md).

`door` is what they share: whose key, the body, the map, the acceptor, the queue. Each standard beside it knows how its bodies
read and what its senders want to hear.
"""

from __future__ import annotations

from milepost.web.services import Services
from milepost.web.standards.cloudevents import CloudEvents
from milepost.web.standards.door import Door
from milepost.web.standards.otlp import OtlpLogs
from milepost.web.standards.segment import Segment

__all__ = ["doors"]


def doors(services: Services) -> dict[str, Door]:
    """The ASGI application of each path. They take POST alone."""
    segment, kinds = Segment, ("track", "identify", "group", "page", "screen", "alias")
    return {
        "/v1/batch": segment(services),
        "/v1/import": segment(services),
        **{f"/v1/{kind}": segment(services, kind=kind) for kind in kinds},
        "/v1/cloudevents": CloudEvents(services),
        "/v1/logs": OtlpLogs(services),
    }
