"""Pages and their forms: server-rendered, kept up to date by htmx and server-sent events."""
