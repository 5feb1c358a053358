"""Values that pass through the core: events and requests in, actions and changes out."""
