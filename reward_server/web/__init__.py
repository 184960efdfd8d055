"""The page: what the server is doing, and any response with its steps coloured."""
