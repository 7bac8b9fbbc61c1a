"""Traces of executions in geth's shapes: a tracer for each, rendered inside the job to the bytes of the answer."""
