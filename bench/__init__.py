"""The load benchmark."""
