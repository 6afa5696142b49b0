-- name: table
-- SQLite's: one file for many databases.
CREATE TABLE IF NOT EXISTS look (database TEXT NOT NULL, at TEXT NOT NULL, look BLOB NOT NULL, PRIMARY KEY (database, at)) WITHOUT ROWID;

-- name: keep
-- Two looks at one moment are one.
INSERT OR IGNORE INTO look (database, at, look) VALUES (:database, :at, :look);

-- name: forget
-- History is bounded.
DELETE FROM look WHERE database = :database
  AND at < (SELECT at FROM look WHERE database = :database ORDER BY at DESC LIMIT 1 OFFSET :most - 1);

-- name: looks
-- Oldest first: they are compared and fitted in time.
SELECT look FROM look WHERE database = :database ORDER BY at;
