"""The HTTP server that turns responses into SGPO rewards."""
