"""Storage: the activities themselves.

- `activities`: rows as the API shows them.
- `objects`: named bytes outside PostgreSQL: contents, archives.
- `partitions`: the ranges of time they lie in, made before they are needed.
"""
