"""A job on one machine: the plan's processes as children of `gmeta run`, its volumes as folders."""
