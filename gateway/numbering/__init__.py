"""Whose number it is: tables of ranges and of ported numbers, made of what registries publish. Pure but for files."""
