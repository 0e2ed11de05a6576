"""The kubectl plugin: `kubectl gmeta`. It runs the user's own kubectl and decides with pure functions."""
