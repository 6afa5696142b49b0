-- Joins of three to nine tables in the manner of the Join Order Benchmark, and what a site about films asks.
-- name: top_ranked_productions
SELECT min(mc.note), min(t.title), min(t.production_year)
FROM company_type ct, info_type it, movie_companies mc, movie_info_idx mi, title t
WHERE ct.kind = 'production companies' AND it.info = 'top 250 rank' AND mc.note NOT LIKE '%(TV)%' AND ct.id = mc.company_type_id
  AND t.id = mc.movie_id AND t.id = mi.movie_id AND mc.movie_id = mi.movie_id AND it.id = mi.info_type_id;
-- name: german_keyword
SELECT min(t.title) FROM company_name cn, keyword k, movie_companies mc, movie_keyword mk, title t
WHERE cn.country_code = '[de]' AND k.keyword = 'character-name-in-title' AND cn.id = mc.company_id AND mc.movie_id = t.id
  AND t.id = mk.movie_id AND mk.keyword_id = k.id AND mc.movie_id = mk.movie_id;
-- name: nordic_sequels
SELECT min(t.title) FROM keyword k, movie_info mi, movie_keyword mk, title t
WHERE k.keyword LIKE 'keyword-99%' AND mi.info IN ('Sweden', 'Bulgaria') AND t.production_year > 2005 AND t.id = mi.movie_id
  AND t.id = mk.movie_id AND mk.movie_id = mi.movie_id AND k.id = mk.keyword_id;
-- name: rated_sequels
SELECT min(mi.info), min(t.title) FROM info_type it, keyword k, movie_info_idx mi, movie_keyword mk, title t
WHERE it.info = 'rating' AND k.keyword = 'keyword-9321' AND mi.info > '9.0' AND t.production_year > 1990 AND t.id = mi.movie_id
  AND t.id = mk.movie_id AND mk.movie_id = mi.movie_id AND k.id = mk.keyword_id AND it.id = mi.info_type_id;
-- name: horror_productions
SELECT min(t.title) FROM company_type ct, info_type it, movie_companies mc, movie_info mi, title t
WHERE ct.kind = 'effects' AND mc.note LIKE '%(USA)%' AND mi.info = 'Bulgaria' AND t.production_year > 2010 AND t.id = mi.movie_id
  AND t.id = mc.movie_id AND mc.movie_id = mi.movie_id AND ct.id = mc.company_type_id AND it.id = mi.info_type_id AND it.info = 'countries';
-- name: hero_cast
SELECT min(k.keyword), min(n.name), min(t.title) FROM cast_info ci, keyword k, movie_keyword mk, name n, title t
WHERE k.keyword = 'keyword-8750' AND n.name LIKE 'Z%' AND t.production_year > 2000 AND k.id = mk.keyword_id AND t.id = mk.movie_id
  AND t.id = ci.movie_id AND ci.movie_id = mk.movie_id AND n.id = ci.person_id;
-- name: voice_of_companies
SELECT min(n.name), min(t.title) FROM cast_info ci, company_name cn, movie_companies mc, name n, role_type rt, title t
WHERE ci.note = '(voice)' AND cn.country_code = '[bg]' AND mc.note LIKE '%(co-production)%' AND n.gender = 'f' AND rt.role = 'guest'
  AND t.production_year BETWEEN 2012 AND 2013 AND ci.movie_id = t.id AND t.id = mc.movie_id AND ci.movie_id = mc.movie_id
  AND mc.company_id = cn.id AND ci.role_id = rt.id AND n.id = ci.person_id;
-- name: distributed_votes
SELECT cn.name, count(*) FROM company_name cn, company_type ct, movie_companies mc, movie_info_idx mi, info_type it, title t
WHERE cn.name = 'Company 1679091c5a880faf6fb5e6087eb1b2dc' AND ct.kind = 'distributors' AND it.info = 'votes' AND ct.id = mc.company_type_id
  AND cn.id = mc.company_id AND mc.movie_id = t.id AND mi.movie_id = t.id AND mi.info_type_id = it.id AND t.kind_id = 1 GROUP BY cn.name;
-- name: same_people
SELECT count(*) FROM cast_info a, cast_info b, title t
WHERE a.movie_id = 59990 AND b.person_id = a.person_id AND b.movie_id <> a.movie_id AND t.id = b.movie_id AND t.production_year > 2000;
-- name: seasons
SELECT min(t.title) FROM title t, movie_info mi, kind_type kt WHERE t.season_nr = 7 AND kt.kind = 'tv series' AND kt.id = t.kind_id
  AND mi.movie_id = t.id AND mi.info = 'German';
-- name: whole_story
SELECT min(cn.name), min(mi.info), min(mx.info), min(t.title), min(n.name)
FROM company_name cn, movie_companies mc, title t, movie_info mi, movie_info_idx mx, cast_info ci, name n, movie_keyword mk, keyword k
WHERE cn.country_code = '[se]' AND k.keyword LIKE 'keyword-95%' AND mi.info = 'Horror' AND mx.info_type_id = 101 AND mx.info > '8.0'
  AND ci.role_id = 5 AND t.production_year > 1995 AND mc.company_id = cn.id AND mc.movie_id = t.id AND mi.movie_id = t.id
  AND mx.movie_id = t.id AND ci.movie_id = t.id AND n.id = ci.person_id AND mk.movie_id = t.id AND mk.keyword_id = k.id;
-- name: directors
SELECT n.name, count(*) FROM cast_info ci, name n, title t WHERE ci.role_id = 6 AND ci.note = '(producer)' AND t.production_year < 1920
  AND ci.movie_id = t.id AND n.id = ci.person_id GROUP BY n.name ORDER BY count(*) DESC LIMIT 10;
-- name: filmography
-- calls: 300
SELECT t.title, t.production_year, ci.role_id FROM cast_info ci JOIN title t ON t.id = ci.movie_id WHERE ci.person_id = 41234
ORDER BY t.production_year DESC LIMIT 20;
-- name: cast_list
-- calls: 300
SELECT n.name, ci.nr_order FROM cast_info ci JOIN name n ON n.id = ci.person_id WHERE ci.movie_id = 51000 ORDER BY ci.nr_order LIMIT 25;
-- name: keywords_of_film
-- calls: 200
SELECT k.keyword FROM movie_keyword mk JOIN keyword k ON k.id = mk.keyword_id WHERE mk.movie_id = 42000;
-- name: facts_of_film
-- calls: 200
SELECT it.info, mi.info FROM movie_info mi JOIN info_type it ON it.id = mi.info_type_id WHERE mi.movie_id = 42000 AND mi.info_type_id IN (3, 8);
-- name: newest_of_kind
-- calls: 100
SELECT id, title FROM title WHERE kind_id = 6 ORDER BY production_year DESC NULLS LAST LIMIT 20;
-- name: by_title
-- calls: 200
SELECT id, production_year FROM title WHERE title = 'Title c4ca4238a0b923820dcc509a6f75849b';
-- name: recast
-- calls: 300
UPDATE cast_info SET nr_order = nr_order + 1 WHERE id = 4711;
