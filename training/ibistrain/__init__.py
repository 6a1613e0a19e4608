"""Training of policies: simulate trajectories, fine-tune, publish."""
