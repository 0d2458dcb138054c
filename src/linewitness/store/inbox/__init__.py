"""What has arrived and is not judged yet: bounded, one queue a gateway, served in turns."""
