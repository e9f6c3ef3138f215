"""The REST API: handlers by subject, and the OpenAPI document."""
