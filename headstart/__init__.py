"""Headstart turns a small folder of labelled images into a classifier you can trust.

`headstart.components` and `headstart.pipelines` lie beside this folder, in `components/` and `pipelines/`.
"""

__version__ = "0.1.0"
"""Version of the package, which is also the tag of its container images; everything else reads it from here."""
