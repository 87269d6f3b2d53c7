"""Commands of numbering plans and ported numbers."""
