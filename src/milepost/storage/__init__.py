"""Storage: the activities themselves.

- `activities`: rows as the API shows them.
- `content`: contents that left their rows; `moving`: how they do. `versions`: what corrections made.
- `files`: what activities name beside themselves; `tickets`: how; `naming`: which; `files_unused`: when it goes.
- `objects`: named bytes outside PostgreSQL: contents, files, archives.
- `partitions`: the ranges of time they lie in, made before they are needed.
"""
