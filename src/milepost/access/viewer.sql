-- Who may read what. What gives the right to an action is `granted`; a membership holds in its group and in all groups below it.
-- `+ 0` keeps the planner from the index of ancestors, where it would read all that lies below the roots for each group that is
-- asked about; a group itself has as many rows as there are levels above it.

-- name: granted
-- Part of a WHERE over a membership `m` and its group `o`: whether it gives the right to {action}. By a permission of its own, which
-- may be a set; by its role; and where the kind declares no roles, being a member is enough to read. What the model grants arrives
-- as ACTION.KIND.ROLE and ACTION.KIND.SET; names in a model have no dots, so nothing else can be spelt the same.
(      {action} = ANY (m.permissions)
    OR {action} || '.' || o.kind || '.' || m.role = ANY (%(roles)s::text[])
    OR {action} = 'read' AND (o.kind IS NULL OR o.kind <> ALL (%(kinds_with_roles)s::text[]))
    OR m.permissions <> '{}' AND EXISTS (
        SELECT FROM unnest(m.permissions) p (word) WHERE {action} || '.' || o.kind || '.' || p.word = ANY (%(sets)s::text[])));

-- name: roots
-- The groups in which an actor may do something by a membership of its own: as many as it is a member of, however large the
-- tree below them.
SELECT m.group_id
FROM milepost.member m
JOIN milepost.groups o ON o.tenant_id = m.tenant_id AND o.group_id = m.group_id
WHERE m.tenant_id = %(tenant_id)s AND m.actor_id = %(actor_id)s AND m.since <= %(at)s AND m.until > %(at)s AND {granted};

-- name: readable_of
-- Which of some groups lie in or below the roots: a look-up for each group and root.
SELECT DISTINCT r.group_id
FROM milepost.group_reach r
WHERE r.tenant_id = %(tenant_id)s AND r.group_id = ANY (%(groups)s::bigint[])
  AND r.ancestor_id + 0 = ANY (%(viewer_roots)s::bigint[]) AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s;

-- name: readable
-- Part of a WHERE over groups as `g`: those that a viewer may read.
EXISTS (
    SELECT FROM milepost.group_reach r
    WHERE r.tenant_id = g.tenant_id AND r.group_id = g.group_id
      AND r.ancestor_id + 0 = ANY (%(viewer_roots)s::bigint[]) AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s);

-- name: few_readable
-- The groups in or below the roots, no more than are asked for: the other side from which a list of groups is looked for. Who may read
-- few of them pays for few.
SELECT r.group_id
FROM milepost.group_reach r
WHERE r.tenant_id = %(tenant_id)s AND r.ancestor_id = ANY (%(viewer_roots)s::bigint[])
  AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s
LIMIT %(most)s;

-- name: few_known
-- The same of actors: the members of some groups, and the viewer.
SELECT %(viewer_id)s::bigint
UNION ALL
(SELECT m.actor_id FROM unnest(%(groups)s::bigint[]) k (group_id)
 CROSS JOIN LATERAL (
     SELECT m.actor_id FROM milepost.member m
     WHERE m.tenant_id = %(tenant_id)s AND m.group_id = k.group_id AND m.since <= %(viewer_at)s AND m.until > %(viewer_at)s
     LIMIT %(most)s
 ) m
 LIMIT %(most)s);

-- name: known
-- Part of a WHERE over actors as `a`: those that a viewer may be told of. Itself, and who is a member of a group that it may read.
(   a.actor_id = %(viewer_id)s
 OR EXISTS (
    SELECT FROM milepost.member m
    JOIN milepost.group_reach r ON r.tenant_id = m.tenant_id AND r.group_id = m.group_id
      AND r.ancestor_id + 0 = ANY (%(viewer_roots)s::bigint[]) AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s
    WHERE m.tenant_id = a.tenant_id AND m.actor_id = a.actor_id AND m.since <= %(viewer_at)s AND m.until > %(viewer_at)s));

-- name: visible
-- Part of a WHERE over activities as `s`: what a viewer may see. Public ones, those of a group it may read (the first or a later
-- one), and its own that are private or are addressed to no group.
(      s.audience = 0
    OR s.audience = 1 AND s.group_id IS NOT NULL AND EXISTS (
           SELECT FROM milepost.group_reach r
           WHERE r.tenant_id = s.tenant_id AND r.group_id = ANY (array_prepend(s.group_id, s.more_groups))
             AND r.ancestor_id + 0 = ANY (%(viewer_roots)s::bigint[]) AND r.since <= %(viewer_at)s AND r.until > %(viewer_at)s)
    OR s.actor_id = %(viewer_id)s AND (s.audience = 2 OR s.group_id IS NULL));

-- name: find_actor
-- The number of the actor that a viewer is.
SELECT actor_id FROM milepost.actor WHERE tenant_id = %(tenant_id)s AND external_id = %(actor)s;

-- name: token_of
-- Whose a viewer token is: it lives no longer than the key that made it. The actor may be unknown yet.
SELECT t.name, t.lane, a.actor_id
FROM milepost.api_key k
JOIN milepost.tenant t ON t.tenant_id = k.tenant_id
LEFT JOIN milepost.actor a ON a.tenant_id = k.tenant_id AND a.external_id = %(actor)s
WHERE k.tenant_id = %(tenant_id)s AND k.key_id = %(key_id)s AND k.revoked_at IS NULL;

-- name: key_to_sign
-- Whether a viewer token can be made with this key.
SELECT key_id FROM milepost.api_key
WHERE tenant_id = %(tenant_id)s AND key_id = %(key_id)s AND revoked_at IS NULL AND scopes && ARRAY['write', 'admin'];

-- name: secret
-- What viewer tokens are signed with, for who makes them beside a server.
SELECT secret FROM milepost.deployment;
