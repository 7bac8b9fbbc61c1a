"""The only door to the outside world: clock, tasks, threads, events, logs."""
