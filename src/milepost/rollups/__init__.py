"""Reading rollups and goals, and proving that they equal a recomputation."""
