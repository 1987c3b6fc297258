"""What a production installation is made of: the image, compose and Kubernetes files, units, and the proxy's rules."""
