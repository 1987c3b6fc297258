"""With what? The outside world, which knows nothing of our business."""
