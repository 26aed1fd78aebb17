"""What a request costs the server, here and in other ways to write the same service."""
