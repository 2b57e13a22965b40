"""Which service the test has beside it: the README says how this is written."""

SERVICE = ""
