"""From a name to a connected socket: resolution, the order of endpoints, retries, and how upstreams fare."""
