"""Several processes of one store: a supervisor, and workers that each serve some of the gateways."""
