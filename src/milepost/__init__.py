"""Milepost: activities into exact feeds, rollups, goals and leaderboards on one PostgreSQL.

`pip install milepost` is the light part that an app imports; `milepost[server]` is the rest.
"""
