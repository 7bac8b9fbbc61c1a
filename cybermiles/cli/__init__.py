"""The command `cmt`."""
