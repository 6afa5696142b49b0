DROP INDEX milepost.member_permissions;
DROP INDEX milepost.member_role;
