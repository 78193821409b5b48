"""The table of pretrained backbones."""
