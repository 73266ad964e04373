"""All files here have clusters of their own, with one token."""

from tests.support.ray_cluster import token

__all__ = ["token"]
