"""The launch form's fields: one template for the hub's spawn page and the service's own."""
