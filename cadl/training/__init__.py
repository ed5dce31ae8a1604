"""Training: runs and their checkpoints, optimizer, devices, losses and batches."""
