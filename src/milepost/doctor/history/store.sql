-- name: schema
-- Beside the application's own.
CREATE SCHEMA IF NOT EXISTS milepost_doctor;

-- name: table
-- A look is read and written as a whole.
CREATE TABLE IF NOT EXISTS milepost_doctor.look (at timestamptz PRIMARY KEY, look jsonb NOT NULL);

-- name: keep
-- Two looks at one moment are one.
INSERT INTO milepost_doctor.look (at, look) VALUES (%(at)s, %(look)s::jsonb) ON CONFLICT (at) DO NOTHING;

-- name: forget
-- History is bounded.
DELETE FROM milepost_doctor.look WHERE at < (SELECT at FROM milepost_doctor.look ORDER BY at DESC OFFSET %(most)s - 1 LIMIT 1);

-- name: is_there
-- Reading must not make it.
SELECT 1 WHERE to_regclass('milepost_doctor.look') IS NOT NULL;

-- name: looks
-- Oldest first: they are compared and fitted in time.
SELECT look::text FROM milepost_doctor.look ORDER BY at;
