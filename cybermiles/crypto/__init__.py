"""One-line wrappers over vetted cryptographic libraries; the only doors to them."""
