"""Redis Streams before the queue: a batch is acknowledged by Redis, and a relay for each lane moves it into PostgreSQL's queue.

Loaders read PostgreSQL alone. Redis adds that batches are acknowledged while PostgreSQL is slow or away; the
relay moves what has gathered in one transaction, which also sets the position in the lane's stream, and trims only then. There are
no consumer groups: the position in PostgreSQL says all.

Promises: what was acknowledged is in the lane's queue once, in the stream's order, whatever process dies when. How long Redis itself
keeps what it acknowledged is a matter of its own settings, which are looked at with each group that is written (`Persistence`).
"""

from milepost.errors import SettingsError

try:
    import redis as redis
except ImportError as error:
    raise SettingsError("MILEPOST_REDIS_URL needs the package redis: pip install 'milepost[server,redis]'.") from error

from milepost.intake.streams.primary import RedisPrimary
from milepost.intake.streams.relays import Relays

__all__ = ["RedisPrimary", "Relays"]
