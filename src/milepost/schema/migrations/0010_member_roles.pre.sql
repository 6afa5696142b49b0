-- Who is what in a group, and who was given something of its own, without reading all of its members.

CREATE INDEX member_role ON milepost.member (tenant_id, group_id, role, actor_id);
CREATE INDEX member_permissions ON milepost.member (tenant_id, group_id, actor_id) WHERE permissions <> '{}';
