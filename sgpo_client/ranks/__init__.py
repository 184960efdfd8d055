"""Several processes of one run: launching, sharding, agreeing, ending together."""
