-- What an activity says it has is there: a content that was collected between its writing and the load's commit fails the load, which writes
-- it anew.
ALTER TABLE milepost.activity_content
    ADD CONSTRAINT activity_content_digest FOREIGN KEY (tenant_id, digest) REFERENCES milepost.content;
