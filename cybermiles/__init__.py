"""CyberMiles: a proof-of-stake blockchain node whose blocks are executed by py-evm."""

__version__ = "0.1.0"
