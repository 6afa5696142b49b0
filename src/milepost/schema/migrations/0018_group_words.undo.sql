-- Groups are found by parts of their names and ids again.

DROP FUNCTION milepost.groups_found;
DROP INDEX milepost.group_words;
DROP FUNCTION milepost.group_keys;
DROP FUNCTION milepost.beginnings;
DROP FUNCTION milepost.plain_words;
