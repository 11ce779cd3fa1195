"""The one place where models are run: a bounded queue, one worker, a cache bounded in bytes."""
