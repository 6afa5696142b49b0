-- Without them nothing is searched; they are made again from the activities.

DROP FUNCTION milepost.search_matches, milepost.search_window, milepost.search_lag;
DROP TABLE milepost.search_progress, milepost.search_document;
DROP FUNCTION milepost.search_keys, milepost.search_bucket_start, milepost.search_bucket;
