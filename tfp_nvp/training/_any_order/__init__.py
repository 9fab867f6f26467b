"""`nvp.fit_table`: models of tables with columns of any type, for any question."""
