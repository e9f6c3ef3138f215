"""Projects: their tree, members, quotas, limits, hours and what they have used."""
