"""The kinds of fault: the module of each has the name that is typed."""
