"""Long tables that people bring as files: their kinds, a reader's report, and the files that processes share."""
