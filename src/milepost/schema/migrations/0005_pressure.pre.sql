-- Lanes shared out among loaders; rates and quotas of tenants.

-- The loaders that live: lanes are shared out among them (milepost.intake.loader). One that is silent past `expires_at` is dead.
CREATE TABLE milepost.loader (
    holder      text PRIMARY KEY,                -- as in milepost.lane
    expires_at  timestamptz NOT NULL
);

-- What a tenant may send. No row: the default of the settings; most = NULL: no limit, whatever the default.
CREATE TABLE milepost.tenant_limit (
    tenant_id   integer NOT NULL,
    name        text NOT NULL,
    most        float8,                          -- rate: activities a second; else activities
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT tenant_limit_name CHECK (name IN ('rate', 'burst', 'per_day', 'per_month')),
    CONSTRAINT tenant_limit_is_positive CHECK (most > 0)
);

-- The token bucket that all server processes lease tokens from; only of tenants that have a rate.
CREATE TABLE milepost.tenant_bucket (
    tenant_id   integer PRIMARY KEY,
    level       float8 NOT NULL,                 -- tokens that no process has leased
    filled_at   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Activities accepted a day (UTC), added up by every server process once a second.
CREATE TABLE milepost.tenant_use (
    tenant_id   integer NOT NULL,
    day         date NOT NULL,
    activities  bigint NOT NULL,
    PRIMARY KEY (tenant_id, day)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE, DELETE ON milepost.loader, milepost.tenant_limit, milepost.tenant_bucket, milepost.tenant_use
    TO milepost_service;
