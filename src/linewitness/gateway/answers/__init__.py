"""The store's answers: take them from the broker, tell what is signed, and weigh what the store accuses."""
