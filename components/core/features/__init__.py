"""Features of the frozen layers: computing and caching them."""
