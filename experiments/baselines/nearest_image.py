"""Nearest neighbour: the training image with the least squared difference of pixels."""

import numpy as np


def nearest(training: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Returns the index of the nearest training image of each query, [M].

    Args:
      training: images [N, ...].
      queries: images [M, ...].
    """
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(training.reshape(len(training), -1))
    return neighbours.kneighbors(queries.reshape(len(queries), -1), return_distance=False)[:, 0]
