-- Only while nobody has uploaded a file: what lies in the object store would be out of reach.
DROP TABLE milepost.activity_file, milepost.file;
