"""Feeds and lists: activities newest first, of a group, an actor, an object, or whatever the filters say."""
