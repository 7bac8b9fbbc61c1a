"""Local accounts: keystore files and signing with them. The node itself holds no account keys."""
