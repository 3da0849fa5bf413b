"""What is wrong with a set of pictures before a GAN learns it, and a copy without it."""
