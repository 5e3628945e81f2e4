"""Where the scores of a run may be sent: a file, a DuckDB file, or a table of PostgreSQL.

In a database the rows of one as_of are replaced in one transaction: whoever reads sees the former
run or this one, and after a second try each customer once.
"""
