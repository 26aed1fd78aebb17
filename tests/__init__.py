"""The tests that need more than the service inside one process."""
