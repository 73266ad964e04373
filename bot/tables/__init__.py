"""All SQL and nothing else: the database, its schema, a module for each table or two."""
