"""The main job: a plan of a folder, and the run that carries it out."""
