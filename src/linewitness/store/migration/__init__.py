"""Take over what a store in a file holds into a store on a server."""
