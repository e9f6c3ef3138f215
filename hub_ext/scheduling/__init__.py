"""The pure scheduling core: a snapshot in, decisions out. No clock, no I/O, no ORM."""
