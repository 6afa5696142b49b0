"""Search: full text over what the model declares, newest first or by relevance, and the index that follows the journal."""
