"""The way in: accept, queue, load. See docs/life-of-an-activity.md."""
