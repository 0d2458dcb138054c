"""The store's own stream for each tenant: what it did with the tenant's evidence, and what people did."""
