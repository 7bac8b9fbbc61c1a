"""Calls, traces and log queries in processes of their own, which read the chain through this one."""
