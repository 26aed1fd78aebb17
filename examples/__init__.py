"""The examples: a page, and a second resource."""
