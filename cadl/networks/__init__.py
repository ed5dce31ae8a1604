"""The networks: VAE, refiner, discriminator, what they are built from, and their SavedModels."""
