-- Who has read what is forgotten with it.

DROP INDEX milepost.journal_first_id;
DROP TABLE milepost.read_marker;
