"""SadTalker: one portrait and a voice become a moving head."""
