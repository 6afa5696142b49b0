-- name: has_activities
-- Whether a sample was loaded before, by a run whose memory is lost: then it is not loaded again.
SELECT EXISTS (SELECT FROM milepost.activity WHERE tenant_id = %(tenant_id)s);
