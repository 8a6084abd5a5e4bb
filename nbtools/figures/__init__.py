"""Figures as SVG text, drawn here: a page of them opens without a network."""
