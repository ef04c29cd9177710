"""What learns and what rates accuracy, with torch."""
