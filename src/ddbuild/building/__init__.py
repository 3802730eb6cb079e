"""Running what a plan says must run: the scheduler, the actions, and the results that people get."""
