"""Storage: the activities themselves.

- `activities`: rows as the API shows them.
- `partitions`: the ranges of time they lie in, made before they are needed.
"""
