-- A viewer's lists begin with what everybody may see: without this index it would be sought among all that it may not.
CREATE INDEX activity_public ON milepost.activity (tenant_id, id) WHERE audience = 0;
