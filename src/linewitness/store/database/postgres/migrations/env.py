"""What Alembic runs to bring a database to a version, or to print how."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(
        dialect_name="postgresql",
        version_table_schema="evidence",
        literal_binds=True,
        # Otherwise each % would be doubled, as for a driver; psql takes it as it stands.
        dialect_opts={"paramstyle": "named"},
        output_buffer=context.config.output_buffer,
    )
else:
    context.configure(connection=connection, version_table_schema="evidence")
with context.begin_transaction():
    context.run_migrations()
