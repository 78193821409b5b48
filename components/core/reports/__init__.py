"""What the HTML pages share: layout, charts, learning-rate page."""
