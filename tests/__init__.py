"""All tests but those of the calls, and what tests share."""
