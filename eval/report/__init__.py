"""One page about judges and policies, from their folders: ``sgpo-eval report``."""
