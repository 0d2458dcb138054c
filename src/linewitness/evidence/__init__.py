"""The provable core: bytes, hashes, signatures and trees, without any knowledge of devices or disks."""
