"""The service's own database: tables, migrations, connections."""
