"""Jobs: what a deployment does beside taking in and answering, on its own schedule."""
