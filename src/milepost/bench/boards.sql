-- name: actors
-- Those who will be ranked, as intake would have interned them.
INSERT INTO milepost.actor (tenant_id, external_id)
SELECT %(tenant_id)s, 'user-' || n FROM generate_series(1, %(members)s) n

-- name: keys_and_indexes
-- How to drop each of them, and how to make it again when the rows are there: large ones are sorted, not grown.
SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname,
    'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint
WHERE contype IN ('p', 'u') AND conrelid IN ('milepost.actor'::regclass, 'milepost.board_ladder'::regclass)
UNION ALL
SELECT 'DROP INDEX ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
FROM pg_index i
WHERE i.indrelid IN ('milepost.actor'::regclass, 'milepost.board_ladder'::regclass)
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)

-- name: memory_of_making
-- For sorting so many rows, and their index entries, without many passes over files.
SELECT set_config('maintenance_work_mem', '1GB', false), set_config('work_mem', '512MB', false),
    set_config('synchronous_commit', 'off', false)

-- name: memory_as_it_was
-- What is measured has the server's own.
SELECT set_config(name, reset_val, false) FROM pg_settings
WHERE name IN ('maintenance_work_mem', 'work_mem', 'synchronous_commit')

-- name: members
-- Each with one activity: the row of its day and that of all time, as a fold leaves them. Scores are skewed, and many are equal.
INSERT INTO milepost.board_ladder (tenant_id, group_id, actor_id, per, bucket, n, sum_distance_m, held_at)
SELECT %(tenant_id)s, 0, a.actor_id, w.per, w.bucket, 1, a.score, 1772323200000000 + a.actor_id * 17 %% 86400000000
FROM (
    SELECT actor_id, (10 + 1000000 * power(random(), 3))::bigint AS score FROM milepost.actor WHERE tenant_id = %(tenant_id)s
) a
CROSS JOIN (VALUES ('day', timestamp '2026-03-01'), ('all', timestamp '0001-01-01')) w (per, bucket)

-- name: rival
-- The plain table that the others rank by, with the index that serves them.
CREATE TABLE public.rival (member bigint NOT NULL, score bigint NOT NULL) WITH (fillfactor = 80, autovacuum_enabled = false)

-- name: rival_rows
-- The same members and scores.
INSERT INTO public.rival (member, score)
SELECT actor_id, sum_distance_m::bigint FROM milepost.board_ladder WHERE tenant_id = %(tenant_id)s AND per = 'all'

-- name: rival_key
-- By which one is changed.
ALTER TABLE public.rival ADD PRIMARY KEY (member)

-- name: rival_index
-- Without it each of them would read the table.
CREATE INDEX rival_score ON public.rival (score DESC, member)

-- name: rival_view
-- Every rank, computed at once.
CREATE MATERIALIZED VIEW public.rival_ranked AS SELECT member, score, rank() OVER (ORDER BY score DESC) AS rank FROM public.rival

-- name: rival_view_member
-- Which a concurrent refresh needs, and a look-up by member.
CREATE UNIQUE INDEX rival_ranked_member ON public.rival_ranked (member)

-- name: rival_view_rank
-- For the top and for neighbours.
CREATE INDEX rival_ranked_rank ON public.rival_ranked (rank)

-- name: rival_change
-- A thousand changes of score.
UPDATE public.rival r SET score = r.score + c.added
FROM unnest(%(members)s::bigint[], %(added)s::bigint[]) AS c (member, added) WHERE r.member = c.member

-- name: rival_refresh
-- What makes the changes readable in the view. CONCURRENTLY would not stop its readers, and takes longer.
REFRESH MATERIALIZED VIEW public.rival_ranked

-- name: rank_over
-- One member's rank by a window function over all.
SELECT rank, n FROM (
    SELECT member, rank() OVER (ORDER BY score DESC) AS rank, count(*) OVER () AS n FROM public.rival
) r WHERE member = %(member)s

-- name: rank_over_top
-- The first hundred by a window function: it stops after as many rows.
SELECT member, score, rank() OVER (ORDER BY score DESC) FROM public.rival LIMIT 100

-- name: count_index
-- One member's rank by counting in the index who is above.
SELECT 1 + (SELECT count(*) FROM public.rival o WHERE o.score > r.score), (SELECT count(*) FROM public.rival)
FROM public.rival r WHERE r.member = %(member)s

-- name: count_index_rank
-- The same without the number of all members, for which it reads the whole index.
SELECT 1 + (SELECT count(*) FROM public.rival o WHERE o.score > r.score) FROM public.rival r WHERE r.member = %(member)s

-- name: index_top
-- The first hundred by the index.
SELECT member, score FROM public.rival ORDER BY score DESC, member LIMIT 100

-- name: view
-- One member's rank, as of the last refresh.
SELECT rank FROM public.rival_ranked WHERE member = %(member)s

-- name: view_top
-- The first hundred, as of the last refresh.
SELECT member, score, rank FROM public.rival_ranked ORDER BY rank LIMIT 100

-- name: view_around
-- Five on each side, as of the last refresh.
SELECT n.member, n.score, n.rank FROM public.rival_ranked m JOIN public.rival_ranked n ON n.rank BETWEEN m.rank - 5 AND m.rank + 5
WHERE m.member = %(member)s

-- name: scores
-- All members and scores, for the sorted set of Redis.
SELECT member, score FROM public.rival

-- name: picked
-- Members whose standing is asked for: about the top, the middle or the bottom of the ranking.
SELECT r.member, a.external_id
FROM (SELECT member FROM public.rival ORDER BY score DESC, member OFFSET %(skip)s LIMIT %(rows)s) r
JOIN milepost.actor a ON a.tenant_id = %(tenant_id)s AND a.actor_id = r.member


-- name: sizes
-- Bytes of the ranges, of the score index, and of all of a board, with their indexes.
SELECT pg_total_relation_size('milepost.board_ladder_range'),
    (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'milepost.board_ladder'::regclass AND NOT indisprimary),
    pg_total_relation_size('milepost.board_ladder')

-- name: no_vacuum
-- What changes leave behind stays, so that it is measured.
ALTER TABLE milepost.board_ladder SET (autovacuum_enabled = false)

-- name: no_vacuum_ranges
-- The same.
ALTER TABLE milepost.board_ladder_range SET (autovacuum_enabled = false)

-- name: vacuum_rows
-- So that the walk that counts ranges needs the index alone.
VACUUM (ANALYZE) milepost.actor, milepost.board_ladder

-- name: vacuum
-- The state of a table that has been there for a while.
VACUUM (ANALYZE) milepost.board_ladder_range, public.rival
