"""Problems to train on, and recorded responses: from files, the hub and generators, in their order."""
