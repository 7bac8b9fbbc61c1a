"""The composition root: configuration, data directory, and the one place that knows every concrete class."""
