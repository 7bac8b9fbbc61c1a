"""One module for each group of methods. Each offers a `methods()` table; nothing else is public."""
