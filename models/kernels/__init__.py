"""Ways to compute a mix in memory that grows with T, shared by the papers in models/attention."""
