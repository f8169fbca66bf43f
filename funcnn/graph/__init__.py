"""The computational graph of a function: as data, as a table, as a drawing, as a page."""
