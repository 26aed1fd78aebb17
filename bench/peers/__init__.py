"""The same service, written in other ways."""
