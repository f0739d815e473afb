"""The example is a project of its own: the tests run it as its owner would, and do not collect it here."""

collect_ignore = ["example"]
