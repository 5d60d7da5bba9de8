"""The companion of the book Unrolled: tasks, experiments, checks and figures."""


class UnrolledError(Exception):
    """Something its user can mend; the text names the file and what to do."""
