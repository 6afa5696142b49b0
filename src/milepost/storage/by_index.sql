-- name: by_index
-- For this transaction alone. A generic plan is the right one where every alternative is ruled out, and costs no
-- planning.
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_sort', %(sort)s, true)
