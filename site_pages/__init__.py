"""What the site has beside docs/: pages made from the code while MkDocs builds it."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""
