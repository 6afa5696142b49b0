-- The archive's list of files: restore them first, or their activities are out of reach.

DROP TABLE milepost.restored;
DROP TABLE milepost.cold_file;
