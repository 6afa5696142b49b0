-- name: record
-- How many rows and bytes each tenant has, by kind of table. Nothing is counted: the planner's own numbers say how large a table is and
-- how its rows are shared among tenants (the most common values of tenant_id; what is left, evenly among the other tenants that the
-- statistics know of). Tables without a tenant, and without statistics, are tenant 0's: of the deployment.
INSERT INTO milepost.storage_growth (tenant_id, day, tier, kind, rows, bytes)
SELECT tenant_id, %(day)s, 'hot', kind, round(sum(share * rows))::bigint, round(sum(share * bytes))::bigint
FROM (
    SELECT c.oid, c.relname, greatest(c.reltuples, 0)::float8 AS rows, pg_total_relation_size(c.oid) AS bytes,
        CASE
            WHEN c.relispartition OR c.relname = 'activity_stream' THEN 'activity'
            WHEN c.relname ~ '^(rollup|latest|pairs|given|done|board|milestones)_' THEN 'derived'
            WHEN c.relname ~ '^search_' THEN 'search'
            WHEN c.relname ~ '^queue' THEN 'queue'
            WHEN c.relname = ANY (ARRAY['actor', 'groups', 'group_span', 'group_reach', 'member', 'follow', 'invitation']) THEN 'entity'
            WHEN c.relname = 'activity_version' THEN 'version'
            WHEN c.relname ~ '^(activity_)?content' THEN 'content'
            WHEN c.relname ~ '^(activity_)?file$' THEN 'file'
            WHEN c.relname ~ '^chain_' THEN 'chain'
            ELSE 'other'
        END AS kind
    FROM pg_class c
    WHERE c.relnamespace = 'milepost'::regnamespace AND c.relkind = 'r'
) t
CROSS JOIN LATERAL (
    WITH common AS (
        SELECT v.tenant_id, v.share
        FROM pg_stats s, unnest(s.most_common_vals::text::integer[], s.most_common_freqs) AS v (tenant_id, share)
        WHERE s.schemaname = 'milepost' AND s.tablename = t.relname AND s.attname = 'tenant_id' AND NOT s.inherited
    ), bounds AS (
        SELECT DISTINCT unnest(s.histogram_bounds::text::integer[]) AS tenant_id FROM pg_stats s
        WHERE s.schemaname = 'milepost' AND s.tablename = t.relname AND s.attname = 'tenant_id' AND NOT s.inherited
    )
    SELECT tenant_id, share FROM common
    UNION ALL
    SELECT tenant_id, greatest(0, 1 - (SELECT coalesce(sum(share), 0) FROM common)) / (SELECT count(*) FROM bounds) FROM bounds
    UNION ALL
    SELECT 0, 1 WHERE NOT EXISTS (SELECT FROM common) AND NOT EXISTS (SELECT FROM bounds)
) d
GROUP BY tenant_id, kind
ON CONFLICT (tenant_id, day, tier, kind) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes

-- name: record_cold
-- What lies in the archive, as its list says.
INSERT INTO milepost.storage_growth (tenant_id, day, tier, kind, rows, bytes)
SELECT tenant_id, %(day)s, 'cold', 'activity', sum(rows)::bigint, sum(bytes)::bigint
FROM milepost.cold_file WHERE state = 'cold' GROUP BY tenant_id
ON CONFLICT (tenant_id, day, tier, kind) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes

-- name: record_content
-- Contents in the object store, as compressed there.
INSERT INTO milepost.storage_growth (tenant_id, day, tier, kind, rows, bytes)
SELECT tenant_id, %(day)s, 'content', 'content', count(*), coalesce(sum(object_bytes), 0)::bigint
FROM milepost.content WHERE index_digest IS NOT NULL GROUP BY tenant_id
ON CONFLICT (tenant_id, day, tier, kind) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes

-- name: record_files
-- Files in the object store.
INSERT INTO milepost.storage_growth (tenant_id, day, tier, kind, rows, bytes)
SELECT tenant_id, %(day)s, 'content', 'file', count(*), sum(bytes)::bigint
FROM milepost.file WHERE completed_at IS NOT NULL GROUP BY tenant_id
ON CONFLICT (tenant_id, day, tier, kind) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes

-- name: totals
-- What was recorded on a day.
SELECT tier, kind, sum(rows)::bigint, sum(bytes)::bigint FROM milepost.storage_growth WHERE day = %(day)s GROUP BY 1, 2 ORDER BY 1, 2

-- name: page
-- A tenant's records, the newest day first.
SELECT day, tier, kind, rows, bytes FROM milepost.storage_growth
WHERE tenant_id = %(tenant_id)s AND day >= %(since)s ORDER BY day DESC, tier, kind LIMIT %(limit)s
