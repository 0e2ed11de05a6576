"""A run of a job in one worker process: joins input, rows, model and algorithm, and reports to the coordinator."""
