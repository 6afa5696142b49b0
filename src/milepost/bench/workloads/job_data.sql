-- Films and who made them, in the manner of the Join Order Benchmark: a few films, people and keywords have most of everything, and
-- what a film is goes with its year, which no single column's statistics say.
SELECT setseed(0.5);
CREATE TABLE kind_type (id int PRIMARY KEY, kind text NOT NULL);
CREATE TABLE info_type (id int PRIMARY KEY, info text NOT NULL);
CREATE TABLE role_type (id int PRIMARY KEY, role text NOT NULL);
CREATE TABLE company_type (id int PRIMARY KEY, kind text NOT NULL);
CREATE TABLE title (id int PRIMARY KEY, title text NOT NULL, kind_id int NOT NULL, production_year int, season_nr int);
CREATE TABLE name (id int PRIMARY KEY, name text NOT NULL, gender text);
CREATE TABLE company_name (id int PRIMARY KEY, name text NOT NULL, country_code text);
CREATE TABLE keyword (id int PRIMARY KEY, keyword text NOT NULL);
CREATE TABLE cast_info (id int PRIMARY KEY, person_id int NOT NULL, movie_id int NOT NULL, note text, nr_order int, role_id int NOT NULL);
CREATE TABLE movie_companies (id int PRIMARY KEY, movie_id int NOT NULL, company_id int NOT NULL, company_type_id int NOT NULL, note text);
CREATE TABLE movie_info (id int PRIMARY KEY, movie_id int NOT NULL, info_type_id int NOT NULL, info text NOT NULL);
CREATE TABLE movie_info_idx (id int PRIMARY KEY, movie_id int NOT NULL, info_type_id int NOT NULL, info text NOT NULL);
CREATE TABLE movie_keyword (id int PRIMARY KEY, movie_id int NOT NULL, keyword_id int NOT NULL);
INSERT INTO kind_type SELECT n, (ARRAY['movie', 'tv series', 'tv movie', 'video', 'episode', 'game', 'short'])[n] FROM generate_series(1, 7) n;
INSERT INTO info_type SELECT n, CASE n WHEN 3 THEN 'genres' WHEN 8 THEN 'countries' WHEN 16 THEN 'release dates' WHEN 101 THEN 'rating'
    WHEN 100 THEN 'votes' WHEN 99 THEN 'top 250 rank' ELSE 'info ' || n END FROM generate_series(1, 113) n;
INSERT INTO role_type SELECT n, (ARRAY['actor', 'actress', 'producer', 'writer', 'director', 'editor', 'guest'])[n] FROM generate_series(1, 7) n;
INSERT INTO company_type SELECT n, (ARRAY['production companies', 'distributors', 'effects', 'miscellaneous'])[n] FROM generate_series(1, 4) n;
INSERT INTO title
SELECT n, 'Title ' || md5(n::text), 1 + (7 * power(random(), 2))::int % 7, 2015 - (120 * power(random(), 2.5))::int,
       CASE WHEN random() < 0.1 THEN 1 + (random() * 9)::int END
FROM generate_series(1, 60000) n;
INSERT INTO name SELECT n, chr(65 + (26 * power(random(), 1.5))::int % 26) || md5(n::text), (ARRAY['m', 'm', 'f', NULL])[1 + (random() * 3)::int]
FROM generate_series(1, 60000) n;
INSERT INTO company_name SELECT n, 'Company ' || md5(n::text),
    (ARRAY['[us]', '[us]', '[us]', '[gb]', '[de]', '[fr]', '[jp]', '[in]', '[se]', '[bg]'])[1 + (9 * power(random(), 2))::int]
FROM generate_series(1, 5000) n;
INSERT INTO keyword SELECT n, CASE n WHEN 9000 THEN 'character-name-in-title' WHEN 117 THEN 'sequel' ELSE 'keyword-' || n END
FROM generate_series(1, 10000) n;
INSERT INTO cast_info
SELECT n, 1 + (59999 * power(random(), 2.5))::int, 1 + (59999 * power(random(), 2))::int,
       (ARRAY['(voice)', '(uncredited)', '(producer)', NULL, NULL, NULL, NULL, NULL])[1 + (random() * 7)::int], (random() * 50)::int,
       1 + (7 * power(random(), 2))::int % 7
FROM generate_series(1, 400000) n;
INSERT INTO movie_companies
SELECT n, 1 + (59999 * power(random(), 1.7))::int, 1 + (4999 * power(random(), 3))::int, 1 + (random() * 3)::int,
       (ARRAY['(co-production)', '(presents)', '(2006) (USA) (TV)', NULL, NULL, NULL])[1 + (random() * 5)::int]
FROM generate_series(1, 100000) n;
INSERT INTO movie_info
SELECT n, 1 + (59999 * power(random(), 1.5))::int, (ARRAY[3, 3, 8, 8, 16, 1, 2, 4, 5, 6, 7, 105])[1 + (random() * 11)::int],
       (ARRAY['Drama', 'Comedy', 'Horror', 'Action', 'Germany', 'USA', 'Sweden', 'Bulgaria', 'English', 'German'])[1 + (9 * power(random(), 2))::int]
FROM generate_series(1, 300000) n;
INSERT INTO movie_info_idx
SELECT n, 1 + n % 60000, CASE WHEN n % 1200 = 0 THEN 99 WHEN n % 2 = 0 THEN 100 ELSE 101 END, round((10 * sqrt(random()))::numeric, 1)::text
FROM generate_series(1, 120000) n;
INSERT INTO movie_keyword SELECT n, 1 + (59999 * power(random(), 1.7))::int, 1 + (9999 * power(random(), 4))::int FROM generate_series(1, 200000) n;
