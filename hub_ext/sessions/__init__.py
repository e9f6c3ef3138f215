"""Sessions: their life, their queue, and what becomes of them after a crash."""
