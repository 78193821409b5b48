"""Files that are complete or absent, the local cache, and manifests."""
