-- name: read
-- Each word or phrase in each language: '' where it is only such words as every text has. And the last word alone, as that language
-- has it, if it is one word there.
SELECT u.number, c.name, websearch_to_tsquery(('pg_catalog.' || c.name)::regconfig, u.text)::text,
    (SELECT CASE WHEN cardinality(w.lexemes) = 1 THEN w.lexemes[1] END
     FROM (SELECT tsvector_to_array(to_tsvector(('pg_catalog.' || c.name)::regconfig, %(last)s)) AS lexemes) w)
FROM unnest(%(units)s::text[]) WITH ORDINALITY AS u (text, number) CROSS JOIN unnest(%(configurations)s::text[]) AS c (name)
