"""The `gmeta` command: one file a subcommand."""
