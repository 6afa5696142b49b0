DROP TABLE milepost.actor_was;
DROP INDEX milepost.activity_version_made_by;
