"""The service's HTTP side: REST API and pages."""
