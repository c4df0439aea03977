"""Rules: equations between expressions, with the domain on which they hold and the reason."""
