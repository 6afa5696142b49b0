"""Storage: the activities themselves.

- `activities`: rows as the API shows them.
- `content`: contents that left their rows; `moving`: how they do. `versions`: what corrections made.
- `objects`: named bytes outside PostgreSQL: contents, archives.
- `partitions`: the ranges of time they lie in, made before they are needed.
"""
