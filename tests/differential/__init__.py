"""The EVM compared with another one, written independently in another language, on programs nobody wrote."""
