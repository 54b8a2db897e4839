"""Reports: the table of formats, and the results that are written as words, JSON and HTML pages."""
