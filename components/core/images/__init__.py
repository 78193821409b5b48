"""Decoding one image file, whatever its format and depth."""
