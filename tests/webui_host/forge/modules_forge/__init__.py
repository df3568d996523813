"""Its being there is how a Forge is known."""
