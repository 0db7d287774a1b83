"""What the soundness tests share: exact arithmetic on graphs, and random pairs of networks."""
