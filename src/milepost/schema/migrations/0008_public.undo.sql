-- Older code has no readers who may not see all.

DROP INDEX milepost.activity_public;
