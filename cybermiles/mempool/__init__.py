"""Pending transactions: the pool's rules are pure; `service` alone is asyncio."""
