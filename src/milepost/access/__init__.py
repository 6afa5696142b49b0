"""Access: tenants, their keys, and who belongs where.

- `tenants`, `keys`, `viewer_tokens`: whose request it is and what it may do.
- `permissions`: who may do what. `logins`: a tenant's own way in by SQL.
- `viewer`: on whose behalf it reads, and what that actor may see.
- `groups`, `actors`: reading them, at a moment.
- `changes`: the commands that change groups, actors and memberships, run by the loader of the tenant's lane.
"""
