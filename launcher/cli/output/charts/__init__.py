"""Charts of the queue over time, as text and as SVG."""
