"""Days of facts from schema `bi` as files: read, written whole, remembered."""
