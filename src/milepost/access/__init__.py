"""Access: tenants, their keys, and who belongs where.

- `tenants`, `keys`: whose request it is and what it may do.
- `groups`, `actors`: reading them, at a moment.
- `changes`: the commands that change groups, actors and memberships, run by the loader of the tenant's lane.
"""
