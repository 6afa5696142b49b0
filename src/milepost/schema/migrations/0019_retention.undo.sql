-- Which erasures there were is forgotten with it: late activities of those that were erased would count again.
REVOKE DELETE ON milepost.read_marker, milepost.invitation FROM milepost_service;
DROP FUNCTION milepost.subject_of;
DROP TABLE milepost.erased_actor, milepost.erasure, milepost.residue, milepost.retention_rule, milepost.legal_hold, milepost.retention_log;
