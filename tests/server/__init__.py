"""Tests that talk to a running server."""
