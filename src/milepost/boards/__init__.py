"""Boards: who stands where among all, exact in the transaction that changes a score. See docs/boards.md."""
