"""How good is a lip-sync? Measured on finished videos, by published protocols where there are any."""
