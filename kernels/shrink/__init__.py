"""A plane on a coarser grid through one separable kernel."""
