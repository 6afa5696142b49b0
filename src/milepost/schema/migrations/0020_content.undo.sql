-- Only while no content has left its row: what lies in the object store would be out of reach.
DROP TABLE milepost.activity_version, milepost.content_waiting, milepost.activity_content, milepost.content;
