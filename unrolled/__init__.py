"""The companion of the book Unrolled: tasks, experiments, checks and figures."""
