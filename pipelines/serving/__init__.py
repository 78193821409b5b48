"""`headstart serve`: a model behind KServe's protocols, with batching, limits, metrics and a page."""
