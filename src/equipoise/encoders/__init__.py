"""Frozen networks that judge samples and are never seen by D."""
