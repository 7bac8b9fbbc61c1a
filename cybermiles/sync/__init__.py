"""Following a chain that others have decided already."""
