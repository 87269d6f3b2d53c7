"""Receipts that found no submission when they came, and messages whose receipt never came."""
