-- Reading boards as they were kept: snapshots hold ranks, so nothing is counted. Parts are those of boards.sql.

-- name: page
-- A page of a snapshot, from after a place on. Places of those who were erased are nobody's.
SELECT p.ordinal, p.rank, {shown}, p.score, {movement}
FROM (
    SELECT s.ordinal, s.rank, s.member_id AS member, s.score FROM milepost.snapshot_place s
    WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot_id)s AND s.ordinal > %(after)s
    ORDER BY s.ordinal
    LIMIT %(rows)s
) p
LEFT JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.ordinal

-- name: standing
-- One member's place and its neighbours'. The last column is the score of who was next better: of the place before the first that
-- shares its rank. Of a member without a place there is no row.
WITH me AS MATERIALIZED (
    SELECT s.ordinal, s.rank FROM milepost.snapshot_place s
    WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot_id)s AND s.member_id = (
        SELECT a.{number} FROM {names} a WHERE a.tenant_id = %(tenant_id)s AND a.external_id = %(member)s
    )
)
SELECT p.ordinal, p.rank, {shown}, p.score, {movement}, p.ordinal = p.mine, (
    SELECT s.score FROM milepost.snapshot_place s
    WHERE s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot_id)s AND s.ordinal = (SELECT me.rank - 1 FROM me)
)
FROM (
    SELECT s.ordinal, s.rank, s.member_id AS member, s.score, me.ordinal AS mine
    FROM me JOIN milepost.snapshot_place s ON s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot_id)s
      AND s.ordinal BETWEEN me.ordinal - %(around)s AND me.ordinal + %(around)s
) p
LEFT JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.ordinal

-- name: among
-- Those of some members that have a place, in its order.
SELECT p.ordinal, p.rank, {shown}, p.score, {movement}
FROM (
    SELECT s.ordinal, s.rank, s.member_id AS member, s.score FROM ({members}) k (member)
    JOIN milepost.snapshot_place s
      ON s.tenant_id = %(tenant_id)s AND s.snapshot_id = %(snapshot_id)s AND s.member_id = k.member
    WHERE s.ordinal > %(after)s
    ORDER BY s.ordinal
    LIMIT %(rows)s
) p
JOIN {names} a ON a.tenant_id = %(tenant_id)s AND a.{number} = p.member
ORDER BY p.ordinal
