"""The embedded sample: drawn cats and dogs."""
