"""The schema: `schema.sql` is the truth, migrations arrive there, and the model compiles to what it adds.

- `migrate`, `rollback`, `status`: from any older version to this one, and back until a migration is finished.
- `require`, `require_lanes`: refuse to run on a schema that does not fit, with a sentence that says what to run.
"""

from milepost.schema._migrate import SCHEMA_VERSION, SchemaStatus, migrate, require, require_lanes, rollback, status

__all__ = ["SCHEMA_VERSION", "SchemaStatus", "migrate", "require", "require_lanes", "rollback", "status"]
