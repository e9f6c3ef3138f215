"""Try the scheduler on paper: scenarios played to their end, and traces of real jobs."""
