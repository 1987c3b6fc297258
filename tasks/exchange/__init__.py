"""Agencies exchange signed documents over the axis: what is sent, received, answered, recalled and reported."""
