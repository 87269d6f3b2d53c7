"""Benchmark of the whole path: HTTP in, SMPP out, receipts back, rows in PostgreSQL; own servers, one machine."""
