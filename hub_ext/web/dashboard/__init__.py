"""What the dashboard shows, prepared from rows: numbers, plots, sentences."""
