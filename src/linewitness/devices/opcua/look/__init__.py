"""Look at a server before a line runs on it: find its points, and reach one that is secured."""
